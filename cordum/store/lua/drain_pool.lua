-- drain_pool: note that workers of a pool take nothing new, those that start later too; or that they take jobs again.
-- KEYS drained_pools clock audit audited
-- ARGV pool by draining tenant event
-- REPLY CHANGED UNCHANGED
-- include clock audit
if (redis.call('HEXISTS', k_drained_pools, a_pool) == 1) == (a_draining == '1') then return {'UNCHANGED'} end
local now = clock_now()
if a_draining == '1' then redis.call('HSET', k_drained_pools, a_pool, string.format('%.0f', now) .. ' ' .. a_by)
else redis.call('HDEL', k_drained_pools, a_pool) end
audit(a_tenant, now, 'pool:' .. a_pool, {a_event})
return {'CHANGED'}
