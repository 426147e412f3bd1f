-- publish_policy: make a policy the active one, with an entry in the history. Publishing what is active already changes nothing.
-- At a start-up (`how`) a file is published only if it is another than the last one that was published so: what people have
-- published or rolled back since then stays. A request that comes again gets its first answer, whatever was published since.
-- KEYS policy history sources clock asked waiting wakeups coordinator audit audited request
-- ARGV digest source actor how note open_tenants request_ttl_ms tenant event message
-- REPLY PUBLISHED UNCHANGED
-- include clock audit
local told = redis.call('HMGET', k_request, 'word', 'epoch', 'digest')
if told[1] then return {told[1], told[2], told[3]} end
local active = redis.call('HMGET', k_policy, 'digest', 'epoch', 'file_digest')
redis.call('HDEL', k_policy, 'fault')

local function remember(word, epoch)
  if a_request_ttl_ms == '' then return end
  redis.call('HSET', k_request, 'word', word, 'epoch', epoch, 'digest', a_digest)
  redis.call('PEXPIRE', k_request, a_request_ttl_ms)
end

if a_how == 'startup' then
  if active[3] == a_digest then return {'UNCHANGED', active[2], a_digest} end
  redis.call('HSET', k_policy, 'file_digest', a_digest)
end
if active[1] == a_digest then
  remember('UNCHANGED', active[2])
  return {'UNCHANGED', active[2], a_digest}
end
local moment = clock_now()
local now = string.format('%.0f', moment)
-- A number is never given twice, though the policy itself may have been lost: what was decided by an older one must look old.
local newest = redis.call('LINDEX', k_history, -1)
local last = math.max(tonumber(active[2] or '0'), tonumber(newest and string.match(newest, '^%d+') or '0'))
local epoch = string.format('%.0f', last + 1)
redis.call('HSET', k_policy, 'epoch', epoch, 'digest', a_digest, 'source', a_source, 'open_tenants', a_open_tenants, 'actor', a_actor, 'published_at', now)
redis.call('HSET', k_sources, a_digest, a_source)
redis.call('RPUSH', k_history, epoch .. '\n' .. now .. '\n' .. a_digest .. '\n' .. a_how .. '\n' .. a_actor .. '\n' .. a_note)
audit(a_tenant, moment, 'policy:' .. epoch, {a_event})
-- What people were asked under another policy may not need them any more, or is denied now: each such run is looked at again.
local asked = redis.call('ZRANGE', k_asked, 0, -1)
-- So are the limits for which jobs wait.
for _, job_id in ipairs(redis.call('HKEYS', k_waiting)) do asked[#asked + 1] = job_id end -- guard: waiting_looked_at
for _, job_id in ipairs(asked) do redis.call('ZADD', k_wakeups, now, string.match(job_id, '^[^:]+')) end
if #asked > 0 and redis.call('LLEN', k_coordinator) == 0 then redis.call('LPUSH', k_coordinator, a_message) end
remember('PUBLISHED', epoch)
return {'PUBLISHED', epoch, a_digest}
