-- save_workflow: store a definition as the next version, unless this very content is stored already.
-- KEYS workflow workflows topics clock
-- ARGV workflow_id digest document ...
-- REPLY SAVED UNCHANGED
-- include clock
local known = redis.call('HGET', k_workflow, 'digest:' .. a_digest)
if known then return {'UNCHANGED', known} end
local version = redis.call('HINCRBY', k_workflow, 'latest', 1)
redis.call('HSET', k_workflow, 'digest:' .. a_digest, version, 'version:' .. version, a_digest, 'document:' .. a_digest, a_document,
  'created_at:' .. version, string.format('%.0f', clock_now()))
redis.call('SADD', k_workflows, a_workflow_id)
for i = 4, #ARGV do redis.call('SADD', k_topics, ARGV[i]) end
return {'SAVED', tostring(version)}
