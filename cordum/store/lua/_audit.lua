-- audit: append records to a tenant's audit, in the script that makes true what they tell. A record begins with its number, which is its
-- place in the list: `<number> <milliseconds> <subject> <event JSON>`. `subject`: of all, or a list with that of each.
local function audit(tenant, now, subject, events)
  local each = type(subject) == 'table' and subject
  local before = redis.call('HINCRBY', k_audited, tenant, #events) - #events
  for first = 1, #events, 1000 do
    local records = {}
    for i = first, math.min(first + 999, #events) do
      records[#records + 1] = string.format('%.0f %.0f %s ', before + i, now, each and each[i] or subject) .. events[i]
    end
    redis.call('RPUSH', k_audit, unpack(records))
  end
end
