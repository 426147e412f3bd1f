-- sweep: what happens by time alone. Due timers mark their runs; leases that ran out are named, not acted on.
-- KEYS timers fired wakeups workers swept schedules_due stats clock alarms waiting windows policy coordinator
-- ARGV limit sweep_ms lease_ms minimum message
-- REPLY SWEPT TOO_SOON
-- include clock timeline wake release quota
local now = clock_now()
local swept = redis.call('HMGET', k_swept, 'at', 'spare_until')
local last, spare_until = tonumber(swept[1] or now), tonumber(swept[2] or '0')
if swept[1] and now - last < tonumber(a_sweep_ms) / 2 then return {'TOO_SOON'} end
-- How late each is, in the buckets of `cordum_timer_lateness_seconds`; most sweeps touch one of them.
local late = {}
local function note(at)
  local lateness, bucket = now - at, '+Inf'
  for _, bound in ipairs({100, 250, 500, 1000, 2000, 5000, 10000, 30000, 60000}) do
    if lateness <= bound then
      bucket = string.format('%.0f', bound)
      break
    end
  end
  late[bucket] = (late[bucket] or 0) + 1
  late.sum = (late.sum or 0) + lateness
end

local found = redis.call('ZRANGEBYSCORE', k_timers, '-inf', string.format('%.0f', now), 'WITHSCORES', 'LIMIT', 0, tonumber(a_limit))
local due = {}
for i = 1, #found, 2 do
  due[#due + 1] = found[i]
  note(tonumber(found[i + 1]))
end
for bucket, count in pairs(late) do redis.call('HINCRBY', k_stats, 'timer_lateness:' .. bucket, count) end
for _, run_id in ipairs(due) do
  redis.call('ZREM', k_timers, run_id)
  redis.call('ZADD', k_fired, string.format('%.0f', now), run_id)
  redis.call('ZADD', k_wakeups, string.format('%.0f', now), run_id)
end
for _, waiters in ipairs(redis.call('ZRANGEBYSCORE', k_alarms, '-inf', string.format('%.0f', now), 'LIMIT', 0, tonumber(a_limit))) do
  redis.call('ZREM', k_alarms, waiters)
  serve(waiters, k_waiting, now, a_minimum, '{"reason":"rate_allows"}') -- guard: rates_served
end
-- Nobody swept for longer than a lease: Redis or every coordinator was away, and so perhaps the workers' renewals. Give them one lease.
if now - last > tonumber(a_lease_ms) then spare_until = now + tonumber(a_lease_ms) end
redis.call('HSET', k_swept, 'at', string.format('%.0f', now), 'spare_until', string.format('%.0f', spare_until))
local expired = redis.call('ZRANGEBYSCORE', k_workers, '-inf', '(' .. string.format('%.0f', now))
if now < spare_until then expired = redis.call('ZRANGEBYSCORE', k_workers, '-inf', '0') end
local schedules = redis.call('ZRANGEBYSCORE', k_schedules_due, '-inf', string.format('%.0f', now), 'LIMIT', 0, tonumber(a_limit))
return {'SWEPT', tostring(#due), expired, string.format('%.0f', now), schedules}
