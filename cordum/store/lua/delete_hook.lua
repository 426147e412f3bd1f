-- delete_hook: forget a hook; what comes for it is refused from now on.
-- KEYS hook hooks clock audit audited
-- ARGV id tenant event
-- REPLY DELETED NOT_FOUND
-- include clock audit
if redis.call('DEL', k_hook) == 0 then return {'NOT_FOUND'} end
redis.call('SREM', k_hooks, a_id)
audit(a_tenant, clock_now(), 'hook:' .. a_id, {a_event})
return {'DELETED'}
