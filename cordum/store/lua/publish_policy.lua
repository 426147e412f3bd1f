-- publish_policy: make a policy the active one, with an entry in the history. Publishing what is active already changes nothing.
-- At a start-up (`how`) a file is published only if it is another than the last one that was published so: what people have
-- published or rolled back since then stays.
-- KEYS policy history sources clock asked wakeups coordinator audit audited
-- ARGV digest source actor how note tenant event message
-- REPLY PUBLISHED UNCHANGED
-- include clock audit
local active = redis.call('HMGET', k_policy, 'digest', 'epoch', 'file_digest')
redis.call('HDEL', k_policy, 'fault')
if a_how == 'startup' then
  if active[3] == a_digest then return {'UNCHANGED', active[2]} end
  redis.call('HSET', k_policy, 'file_digest', a_digest)
end
if active[1] == a_digest then return {'UNCHANGED', active[2]} end
local moment = clock_now()
local now = string.format('%.0f', moment)
local epoch = tostring(redis.call('HINCRBY', k_policy, 'epoch', 1))
redis.call('HSET', k_policy, 'digest', a_digest, 'source', a_source, 'actor', a_actor, 'published_at', now)
redis.call('HSET', k_sources, a_digest, a_source)
redis.call('RPUSH', k_history, epoch .. '\n' .. now .. '\n' .. a_digest .. '\n' .. a_how .. '\n' .. a_actor .. '\n' .. a_note)
audit(a_tenant, moment, 'policy:' .. epoch, {a_event})
-- What people were asked under another policy may not need them any more, or is denied now: each such run is looked at again.
local asked = redis.call('ZRANGE', k_asked, 0, -1)
for _, job_id in ipairs(asked) do redis.call('ZADD', k_wakeups, now, string.match(job_id, '^[^:]+')) end
if #asked > 0 and redis.call('LLEN', k_coordinator) == 0 then redis.call('LPUSH', k_coordinator, a_message) end
return {'PUBLISHED', epoch}
