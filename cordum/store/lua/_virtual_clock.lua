-- clock: time that stands still until a test moves it.
local function clock_now()
  return tonumber(redis.call('GET', k_clock) or '0')
end
