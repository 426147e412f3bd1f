-- renew_lease: a worker incarnation says that it lives, and hears which of its jobs must stop and whether it may take new ones.
-- KEYS workers worker stops clock
-- ARGV incarnation lease_ms fields ...
-- REPLY RENEWED REGISTERED
-- include clock
local now = clock_now()
local own = redis.call('HMGET', k_worker, 'info', 'draining')
local info, draining = own[1], own[2]
local known = info ~= false
if not known then redis.call('HSET', k_worker, 'registered_at', string.format('%.0f', now)) end
-- A worker's topics change while it lives.
if info ~= a_fields then redis.call('HSET', k_worker, 'info', a_fields) end
redis.call('ZADD', k_workers, string.format('%.0f', now + tonumber(a_lease_ms)), a_incarnation)
-- A stop stays until the worker has said, with its next renewal, that it heard of it: the reply may be lost.
for i = 4, #ARGV do redis.call('LREM', k_stops, 0, ARGV[i]) end
local stops = redis.call('LRANGE', k_stops, 0, -1)
return {known and 'RENEWED' or 'REGISTERED', stops, draining or ''}
