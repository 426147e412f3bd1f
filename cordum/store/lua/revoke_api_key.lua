-- revoke_api_key: from now on a key opens nothing. Its record stays: with no key at all an API would ask for none.
-- KEYS api_key clock audit audited
-- ARGV id by tenant event
-- REPLY REVOKED UNCHANGED NOT_FOUND
-- include clock audit
if redis.call('EXISTS', k_api_key) == 0 then return {'NOT_FOUND'} end
if redis.call('HEXISTS', k_api_key, 'revoked_at') == 1 then return {'UNCHANGED'} end
local now = clock_now()
redis.call('HSET', k_api_key, 'revoked_at', string.format('%.0f', now), 'revoked_by', a_by)
audit(a_tenant, now, 'api_key:' .. a_id, {a_event})
return {'REVOKED'}
