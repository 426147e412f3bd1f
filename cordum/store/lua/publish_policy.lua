-- publish_policy: make a policy the active one. Publishing what is active already changes nothing.
-- KEYS policy clock
-- ARGV digest source actor
-- REPLY PUBLISHED UNCHANGED
-- include clock
if redis.call('HGET', k_policy, 'digest') == a_digest then return {'UNCHANGED', redis.call('HGET', k_policy, 'epoch')} end
local epoch = redis.call('HINCRBY', k_policy, 'epoch', 1)
redis.call('HSET', k_policy, 'digest', a_digest, 'source', a_source, 'actor', a_actor, 'published_at', string.format('%.0f', clock_now()))
return {'PUBLISHED', tostring(epoch)}
