-- schedule: how a schedule goes on. `fields`: what is written, its new version among it; `due`: when somebody has to look at it
-- (empty: never).
local function go_on(fields, name, due)
  redis.call('HSET', k_schedule, unpack(fields))
  if due == '' then redis.call('ZREM', k_schedules_due, name) else redis.call('ZADD', k_schedules_due, due, name) end
end
