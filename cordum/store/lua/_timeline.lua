-- timeline: append events; an event's sequence number is its place in the list.
local function tell(timeline, now, ...)
  local stamped = {}
  for i, event in ipairs({...}) do stamped[i] = string.format('%.0f', now) .. '|' .. event end
  redis.call('RPUSH', timeline, unpack(stamped))
end
