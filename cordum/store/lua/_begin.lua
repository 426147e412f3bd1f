-- begin: what keeps a run from being stored; nil: nothing does.
-- The definition may have been deleted since it was read, and then nobody could go on with the run; a single job (no digest) has its own.
local function outdated(digest, epoch)
  if digest ~= '' and redis.call('HEXISTS', k_workflow, 'document:' .. digest) == 0 then return {'WORKFLOW_GONE'} end -- guard: workflow_stored
  if epoch and (redis.call('HGET', k_policy, 'epoch') or '0') ~= epoch then return {'POLICY_CHANGED'} end -- guard: policy_epoch
end

-- `idempotency`: the key of its submitter's, if there is one.
local function known_already(run, idempotency, fingerprint)
  if redis.call('EXISTS', run) == 1 then return {'EXISTS'} end -- guard: run_is_new
  local used = idempotency and redis.call('GET', idempotency)
  if used then
    local run_id, known = string.match(used, '^(%S+) (%S+)$')
    if known ~= fingerprint then return {'KEY_REUSED'} end -- guard: same_request
    return {'REPLAYED', run_id} -- guard: key_is_new
  end
end
