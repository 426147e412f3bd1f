-- timeline: append one event; its sequence number is its place in the list.
local function tell(timeline, now, event)
  redis.call('RPUSH', timeline, string.format('%.0f', now) .. '|' .. event)
end
