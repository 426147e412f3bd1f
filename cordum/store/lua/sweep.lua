-- sweep: what happens by time alone. Due timers mark their runs; leases that ran out are named, not acted on.
-- KEYS timers fired wakeups workers swept clock
-- ARGV limit sweep_ms lease_ms
-- REPLY SWEPT TOO_SOON
-- include clock
local now = clock_now()
local swept = redis.call('HMGET', k_swept, 'at', 'spare_until')
local last, spare_until = tonumber(swept[1] or now), tonumber(swept[2] or '0')
if swept[1] and now - last < tonumber(a_sweep_ms) / 2 then return {'TOO_SOON'} end
local due = redis.call('ZRANGEBYSCORE', k_timers, '-inf', string.format('%.0f', now), 'LIMIT', 0, tonumber(a_limit))
for _, run_id in ipairs(due) do
  redis.call('ZREM', k_timers, run_id)
  redis.call('ZADD', k_fired, string.format('%.0f', now), run_id)
  redis.call('ZADD', k_wakeups, string.format('%.0f', now), run_id)
end
-- Nobody swept for longer than a lease: Redis or every coordinator was away, and so perhaps the workers' renewals. Give them one lease.
if now - last > tonumber(a_lease_ms) then spare_until = now + tonumber(a_lease_ms) end
redis.call('HSET', k_swept, 'at', string.format('%.0f', now), 'spare_until', string.format('%.0f', spare_until))
local expired = redis.call('ZRANGEBYSCORE', k_workers, '-inf', '(' .. string.format('%.0f', now))
if now < spare_until then expired = redis.call('ZRANGEBYSCORE', k_workers, '-inf', '0') end
return {'SWEPT', tostring(#due), expired, string.format('%.0f', now)}
