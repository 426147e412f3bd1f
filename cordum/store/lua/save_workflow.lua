-- save_workflow: store a definition as the next version, unless this very content is stored already. Numbers go on after a deletion.
-- `expected`: how many definitions the tenant had saved or deleted when the caller looked at them; empty when it did not look.
-- KEYS workflow workflows topics definitions clock audit audited
-- ARGV workflow_id digest document expected tenant event ...
-- REPLY SAVED UNCHANGED STALE
-- include clock audit
local known = redis.call('HGET', k_workflow, 'digest:' .. a_digest)
if known then return {'UNCHANGED', known} end
if a_expected ~= '' and (redis.call('GET', k_definitions) or '0') ~= a_expected then return {'STALE'} end -- guard: definitions_as_seen
local before = redis.call('HMGET', k_workflow, 'latest', 'retired')
local now = clock_now()
local version = tostring(tonumber(before[1] or before[2] or '0') + 1)
redis.call('HSET', k_workflow, 'latest', version, 'digest:' .. a_digest, version, 'version:' .. version, a_digest, 'document:' .. a_digest, a_document,
  'created_at:' .. version, string.format('%.0f', now))
redis.call('HDEL', k_workflow, 'retired')
redis.call('SADD', k_workflows, a_workflow_id)
redis.call('INCR', k_definitions)
for i = 7, #ARGV do redis.call('SADD', k_topics, ARGV[i]) end
audit(a_tenant, now, 'workflow:' .. a_workflow_id .. '@' .. version, {a_event})
return {'SAVED', version}
