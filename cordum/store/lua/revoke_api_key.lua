-- revoke_api_key: from now on a key opens nothing. Its record stays: with no key at all an API would ask for none.
-- KEYS api_key clock
-- ARGV by
-- REPLY REVOKED UNCHANGED NOT_FOUND
-- include clock
if redis.call('EXISTS', k_api_key) == 0 then return {'NOT_FOUND'} end
if redis.call('HEXISTS', k_api_key, 'revoked_at') == 1 then return {'UNCHANGED'} end
redis.call('HSET', k_api_key, 'revoked_at', string.format('%.0f', clock_now()), 'revoked_by', a_by)
return {'REVOKED'}
