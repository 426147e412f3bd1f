-- clock: time that stands still until a test moves it.
local function clock_now()
  local moment = redis.call('GET', k_clock) or '0'
  return tonumber(moment), moment
end
