-- delete_workflow: forget a definition with all its versions, unless a run of it is still open. The texts stay while there are runs
-- that were started with them; the last number stays so that a new version never has an old one's.
-- KEYS workflow workflows runs_of open_runs_of definitions clock audit audited
-- ARGV workflow_id tenant event
-- REPLY DELETED NOT_FOUND IN_USE
-- include clock audit
local latest = redis.call('HGET', k_workflow, 'latest')
if not latest then return {'NOT_FOUND'} end
local open = redis.call('SCARD', k_open_runs_of)
if open > 0 then return {'IN_USE', tostring(open)} end -- guard: no_open_runs
local unused = redis.call('EXISTS', k_runs_of) == 0
for version = 1, tonumber(latest) do
  local digest = redis.call('HGET', k_workflow, 'version:' .. version)
  if digest then
    redis.call('HDEL', k_workflow, 'version:' .. version, 'created_at:' .. version, 'digest:' .. digest)
    if unused then redis.call('HDEL', k_workflow, 'document:' .. digest) end
  end
end
redis.call('HDEL', k_workflow, 'latest')
redis.call('HSET', k_workflow, 'retired', latest)
redis.call('SREM', k_workflows, a_workflow_id)
redis.call('INCR', k_definitions)
audit(a_tenant, clock_now(), 'workflow:' .. a_workflow_id .. '@' .. latest, {a_event})
return {'DELETED'}
