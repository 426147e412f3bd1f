-- wake: mark a run due and put one message before the coordinators, unless one is waiting there already.
local function wake(run_id, now, message)
  redis.call('ZADD', k_wakeups, string.format('%.0f', now), run_id)
  if redis.call('LLEN', k_coordinator) == 0 then redis.call('LPUSH', k_coordinator, message) end
end
