-- forget_worker: remove a dead worker once nothing is left that it holds.
-- KEYS workers worker held sent list binding permanent stops clock stats
-- ARGV incarnation
-- REPLY FORGOTTEN ALIVE HOLDING
-- include clock count
local lease = redis.call('ZSCORE', k_workers, a_incarnation)
if lease and tonumber(lease) >= clock_now() then return {'ALIVE'} end -- guard: lease_over
if redis.call('SCARD', k_held) + redis.call('ZCARD', k_sent) > 0 then return {'HOLDING'} end -- guard: nothing_held
-- A lease that was ended properly stands at 0.
if lease and tonumber(lease) > 0 then count('leases_lost') end
redis.call('ZREM', k_workers, a_incarnation)
redis.call('DEL', k_worker, k_stops, k_list, k_binding, k_permanent)
return {'FORGOTTEN'}
