-- clock: Redis' own time in milliseconds, never going back.
local function clock_now()
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local last = tonumber(redis.call('GET', k_clock) or '0')
  if last >= now then return last end
  redis.call('SET', k_clock, string.format('%.0f', now))
  return now
end
