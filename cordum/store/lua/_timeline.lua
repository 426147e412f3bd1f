-- timeline: append events; an event's sequence number is its place in the list. `now`: a number, or better its text, which costs nothing.
local function tell(timeline, now, ...)
  local stamp, stamped = now .. '|', {...}
  for i, event in ipairs(stamped) do stamped[i] = stamp .. event end
  redis.call('RPUSH', timeline, unpack(stamped))
end
