-- remove_run: forget an ended run, whole, unless it has moved on since it was looked at. Runs that belonged to it are noted: they go next.
-- Further keys are all that is kept of the run under keys of its own. Further arguments: ids of runs that belong to it, then job ids of its approvals.
-- KEYS run runs runs_of ended needed orphans wakeups timers fired workflow approvals clock audit audited ...
-- ARGV run_id version relatives tenant event ...
-- REPLY REMOVED NOT_FOUND CONFLICT
-- include clock audit
local version = redis.call('HGET', k_run, 'version')
if not version then
  redis.call('SREM', k_orphans, a_run_id)
  return {'NOT_FOUND'}
end
if version ~= a_version then return {'CONFLICT'} end -- guard: run_version
for at = 15, #KEYS do redis.call('UNLINK', KEYS[at]) end
redis.call('UNLINK', k_run)
redis.call('SREM', k_orphans, a_run_id)
for _, index in ipairs({k_runs, k_runs_of, k_ended, k_needed, k_wakeups, k_timers, k_fired}) do redis.call('ZREM', index, a_run_id) end
local relatives = tonumber(a_relatives)
for at = 6, 5 + relatives do redis.call('SADD', k_orphans, ARGV[at]) end
for at = 6 + relatives, #ARGV do redis.call('ZREM', k_approvals, ARGV[at]) end
-- The texts of a deleted workflow stay while there are runs that were started with them.
if redis.call('EXISTS', k_runs_of) == 0 and redis.call('HEXISTS', k_workflow, 'latest') == 0 then
  for _, field in ipairs(redis.call('HKEYS', k_workflow)) do
    if string.sub(field, 1, 9) == 'document:' then redis.call('HDEL', k_workflow, field) end
  end
end
-- What goes by its age alone is nobody's doing.
if a_event ~= '' then audit(a_tenant, clock_now(), 'run:' .. a_run_id, {a_event}) end
return {'REMOVED'}
