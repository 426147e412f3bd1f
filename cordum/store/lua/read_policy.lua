-- read_policy: the time and the epoch; the policy itself only when the caller knows another one.
-- KEYS policy clock
-- ARGV known_epoch
-- REPLY CURRENT CHANGED
-- include clock
local epoch = redis.call('HGET', k_policy, 'epoch') or '0'
local now = string.format('%.0f', clock_now())
if epoch == a_known_epoch then return {'CURRENT', now, epoch} end
local policy = redis.call('HMGET', k_policy, 'source', 'open_tenants')
return {'CHANGED', now, epoch, policy[1] or '', policy[2] or ''}
