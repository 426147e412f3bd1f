-- rotate_hook: derive a hook's secret with another nonce; what is signed with the one before is refused from now on.
-- KEYS hook clock audit audited
-- ARGV id nonce tenant event
-- REPLY ROTATED UNCHANGED NOT_FOUND
-- include clock audit
local nonce = redis.call('HGET', k_hook, 'nonce')
if not nonce then return {'NOT_FOUND'} end
if nonce == a_nonce then return {'UNCHANGED'} end
redis.call('HSET', k_hook, 'nonce', a_nonce)
audit(a_tenant, clock_now(), 'hook:' .. a_id, {a_event})
return {'ROTATED'}
