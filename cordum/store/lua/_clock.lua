-- clock: Redis' own time in milliseconds, never going back; as a number, and as the text of it.
local function clock_now()
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local last = redis.call('GET', k_clock) or '0'
  if tonumber(last) >= now then return tonumber(last), last end
  local moment = string.format('%.0f', now)
  redis.call('SET', k_clock, moment)
  return now, moment
end
