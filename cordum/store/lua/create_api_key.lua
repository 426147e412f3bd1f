-- create_api_key: keep a new key's record. A key whose id is taken changes nothing; the reply tells whose record is there.
-- KEYS api_key api_keys keys_of clock audit audited
-- ARGV id digest tenant person role by description expires_in_ms event
-- REPLY CREATED UNCHANGED
-- include clock audit
local known = redis.call('HGET', k_api_key, 'digest')
if known then return {'UNCHANGED', known} end
local now = clock_now()
redis.call('HSET', k_api_key, 'id', a_id, 'digest', a_digest, 'tenant', a_tenant, 'person', a_person, 'role', a_role,
  'created_at', string.format('%.0f', now), 'created_by', a_by, 'description', a_description)
if a_expires_in_ms ~= '' then redis.call('HSET', k_api_key, 'expires_at', string.format('%.0f', now + tonumber(a_expires_in_ms))) end
redis.call('ZADD', k_api_keys, string.format('%.0f', now), a_id)
redis.call('ZADD', k_keys_of, string.format('%.0f', now), a_id)
audit(a_tenant, now, 'api_key:' .. a_id, {a_event})
return {'CREATED', a_digest}
