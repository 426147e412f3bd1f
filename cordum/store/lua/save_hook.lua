-- save_hook: keep a new hook. One whose id is there changes nothing: the reply of an earlier call was lost.
-- KEYS hook hooks clock audit audited
-- ARGV id tenant event ...
-- REPLY SAVED UNCHANGED
-- include clock audit
if redis.call('EXISTS', k_hook) == 1 then return {'UNCHANGED'} end
redis.call('HSET', k_hook, unpack(ARGV, 4))
redis.call('SADD', k_hooks, a_id)
audit(a_tenant, clock_now(), 'hook:' .. a_id, {a_event})
return {'SAVED'}
