-- publish_pools: replace the map of topics and pools, unless somebody else has since the caller looked. At a start-up a file counts
-- only if it is another than the last one that was published so: what people have changed since then stays. Whoever waits for a pool
-- whose limit has been raised or taken away goes on its way.
-- KEYS pools clock audit audited waiting windows policy wakeups coordinator ...
-- ARGV document file_digest expected actor tenant event minimum message cause ...
-- REPLY PUBLISHED UNCHANGED MOVED
-- include clock audit timeline wake release quota
-- The further keys are the lines of those that wait for a pool; the further arguments two for each: the quota and its limit (empty: none any
-- more).
local known = redis.call('HMGET', k_pools, 'document', 'epoch', 'file_digest')
if a_file_digest ~= '' then
  if known[3] == a_file_digest then return {'UNCHANGED', known[2]} end
  redis.call('HSET', k_pools, 'file_digest', a_file_digest)
elseif (known[2] or '0') ~= a_expected then return {'MOVED'} end
if known[1] == a_document then return {'UNCHANGED', known[2]} end
local now = clock_now()
local epoch = tostring(redis.call('HINCRBY', k_pools, 'epoch', 1))
redis.call('HSET', k_pools, 'document', a_document, 'actor', a_actor, 'changed_at', string.format('%.0f', now))
audit(a_tenant, now, 'pools:' .. epoch, {a_event})
for i = 10, #ARGV, 2 do
  local id, most = ARGV[i], ARGV[i + 1]
  redis.call('HSET', k_pools, 'most:' .. id, most ~= '' and most or '1000000000')
  serve(KEYS[10 + (i - 10) / 2], k_waiting, now, a_minimum, a_cause) -- guard: waiters_served
  if most == '' then redis.call('HDEL', k_pools, 'most:' .. id) end
end
return {'PUBLISHED', epoch}
