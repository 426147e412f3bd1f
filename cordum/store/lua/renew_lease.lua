-- renew_lease: a worker incarnation says that it lives, and hears which of its jobs must stop.
-- KEYS workers worker stops clock
-- ARGV incarnation lease_ms fields
-- REPLY RENEWED REGISTERED
-- include clock
local now = clock_now()
local info = redis.call('HGET', k_worker, 'info')
local known = info ~= false
if not known then redis.call('HSET', k_worker, 'registered_at', string.format('%.0f', now)) end
-- A worker's topics change while it lives.
if info ~= a_fields then redis.call('HSET', k_worker, 'info', a_fields) end
redis.call('ZADD', k_workers, string.format('%.0f', now + tonumber(a_lease_ms)), a_incarnation)
local stops = redis.call('LRANGE', k_stops, 0, -1)
if #stops > 0 then redis.call('DEL', k_stops) end
return {known and 'RENEWED' or 'REGISTERED', stops}
