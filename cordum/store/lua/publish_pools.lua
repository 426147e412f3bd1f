-- publish_pools: replace the map of topics and pools, unless somebody else has since the caller looked. At a start-up a file counts
-- only if it is another than the last one that was published so: what people have changed since then stays.
-- KEYS pools clock audit audited
-- ARGV document file_digest expected actor tenant event
-- REPLY PUBLISHED UNCHANGED MOVED
-- include clock audit
local known = redis.call('HMGET', k_pools, 'document', 'epoch', 'file_digest')
if a_file_digest ~= '' then
  if known[3] == a_file_digest then return {'UNCHANGED', known[2]} end
  redis.call('HSET', k_pools, 'file_digest', a_file_digest)
elseif (known[2] or '0') ~= a_expected then return {'MOVED'} end
if known[1] == a_document then return {'UNCHANGED', known[2]} end
local epoch = tostring(redis.call('HINCRBY', k_pools, 'epoch', 1))
local now = clock_now()
redis.call('HSET', k_pools, 'document', a_document, 'actor', a_actor, 'changed_at', string.format('%.0f', now))
audit(a_tenant, now, 'pools:' .. epoch, {a_event})
return {'PUBLISHED', epoch}
