-- drain_worker: from its next renewal on a worker takes nothing new, or takes jobs again; what runs there may finish.
-- KEYS workers worker clock audit audited
-- ARGV incarnation by draining tenant event
-- REPLY CHANGED UNCHANGED NOT_FOUND
-- include clock audit
local lease = redis.call('ZSCORE', k_workers, a_incarnation)
if not lease then return {'NOT_FOUND'} end
local drained = redis.call('HEXISTS', k_worker, 'draining') == 1
if drained == (a_draining == '1') then return {'UNCHANGED'} end
local now = clock_now()
if drained then redis.call('HDEL', k_worker, 'draining')
else redis.call('HSET', k_worker, 'draining', string.format('%.0f', now) .. ' ' .. a_by) end
-- What follows from its pool's being drained is told with that.
if a_event ~= '' then audit(a_tenant, now, 'worker:' .. a_incarnation, {a_event}) end
return {'CHANGED'}
