-- drain_worker: from its next renewal on a worker takes nothing new, or takes jobs again; what runs there may finish.
-- KEYS workers worker clock
-- ARGV incarnation by draining
-- REPLY CHANGED UNCHANGED NOT_FOUND
-- include clock
local lease = redis.call('ZSCORE', k_workers, a_incarnation)
if not lease then return {'NOT_FOUND'} end
local drained = redis.call('HEXISTS', k_worker, 'draining') == 1
if drained == (a_draining == '1') then return {'UNCHANGED'} end
if drained then redis.call('HDEL', k_worker, 'draining')
else redis.call('HSET', k_worker, 'draining', string.format('%.0f', clock_now()) .. ' ' .. a_by) end
return {'CHANGED'}
