-- waited: how long a question to people was open, for the histogram of /metrics: the same bounds, in seconds, as stats.py names.
local WAITED_BOUNDS = {60, 300, 900, 3600, 14400, 43200, 86400, 172800, 345600, 604800}
local function waited(outcome, asked_at, now)
  local ms = math.max(now - tonumber(asked_at or now), 0)
  local bound = 'inf'
  for _, seconds in ipairs(WAITED_BOUNDS) do
    if ms <= seconds * 1000 then bound = tostring(seconds) break end
  end
  redis.call('HINCRBY', k_stats, 'approval_waits:' .. outcome .. ':' .. bound, 1)
  redis.call('HINCRBY', k_stats, 'approval_wait_ms:' .. outcome, string.format('%.0f', ms))
end
