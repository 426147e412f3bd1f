-- create_run: store a run with everything its first plan decided, once for an idempotency key.
-- KEYS run steps facts inputs outputs timeline clock policy timers windows workers context inbox wakeups coordinator approvals open_approvals asked dead_letters stats open_runs_of idempotency runs runs_of workflow ...
-- ARGV plan fingerprint ttl_sec message digest ...
-- REPLY CREATED EXISTS REPLAYED KEY_REUSED POLICY_CHANGED WORKFLOW_GONE
-- include clock timeline release route wake commit snapshot
local plan = cjson.decode(a_plan)
if redis.call('EXISTS', k_run) == 1 then return {'EXISTS'} end -- guard: run_is_new
if a_fingerprint ~= '' then
  local used = redis.call('GET', k_idempotency)
  if used then
    local run_id, fingerprint = string.match(used, '^(%S+) (%S+)$')
    if fingerprint ~= a_fingerprint then return {'KEY_REUSED'} end -- guard: same_request
    return {'REPLAYED', run_id} -- guard: key_is_new
  end
end
-- The definition may have been deleted since it was read, and then nobody could go on with the run.
if redis.call('HEXISTS', k_workflow, 'document:' .. a_digest) == 0 then return {'WORKFLOW_GONE'} end -- guard: workflow_stored
if plan.epoch and (redis.call('HGET', k_policy, 'epoch') or '0') ~= plan.epoch then return {'POLICY_CHANGED'} end -- guard: policy_epoch
local now = clock_now()
commit(plan, 6, now)
if plan.again then wake(plan.run, now, a_message) end
redis.call('HSET', k_run, 'created_at', string.format('%.0f', now))
if a_fingerprint ~= '' then redis.call('SET', k_idempotency, plan.run .. ' ' .. a_fingerprint, 'EX', a_ttl_sec) end
redis.call('ZADD', k_runs, string.format('%.0f', now), plan.run)
redis.call('ZADD', k_runs_of, string.format('%.0f', now), plan.run)
return {'CREATED', plan.run, snapshot(now), redis.call('HGETALL', k_inputs)}
