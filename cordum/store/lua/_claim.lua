-- claim: an attempt begins, once. What has to hold for that stands here and nowhere else. `own`: the keys of its run.
-- MOVES queued>running
local function has_lease(now)
  local lease = redis.call('ZSCORE', k_workers, a_incarnation)
  return lease and tonumber(lease) >= now
end

local function policy_epoch()
  return redis.call('HGET', k_policy, 'epoch') or '0'
end

-- Of a step as it is: its mark, and the facts that a claim asks for.
local function state_of(own, step)
  local claim, sent, terms, places = unpack(redis.call('HMGET', own.facts, step .. '#claim', step .. '#sent', step .. '#terms', step .. '#places'))
  local topic, priority, epoch, decision = string.match(sent or '', '^(%S*) (%S*) (%S*) (.*)$')
  local timeout_ms, retries_left, shape = string.match(terms or '', '^(%S*) (%S*) (.*)$')
  return {
    step = step, mark = redis.call('HGET', own.steps, step), claim = claim, epoch = epoch, timeout_ms = timeout_ms,
    retries_left = retries_left, shape = shape, decision = decision, places = places, topic = topic, priority = priority,
  }
end

local function run_of(own)
  local run = redis.call('HMGET', own.run, 'status', 'tenant', 'workflow_id', 'labels', 'input')
  return {status = run[1], tenant = run[2], workflow_id = run[3], labels = run[4], input = run[5]}
end

-- What a worker is told of an attempt that is its own.
local function grant(own, state, run)
  local input = redis.call('HGET', own.inputs, state.step) or run.input
  return {'CLAIMED', run.tenant, run.workflow_id, run.labels, input, state.timeout_ms, state.retries_left, state.shape, state.decision}
end

-- The answer to a claim that must not be granted; nil: it may be.
local function refusal(state, attempt, alive, run, epoch)
  if state.mark ~= 'queued:' .. attempt then return {'STALE'} end -- guard: step_queued
  if not alive then return {'NO_LEASE'} end -- guard: worker_lease
  if run.status == 'paused' then return {'PAUSED'} end -- guard: run_paused
  if state.epoch ~= epoch then return {'POLICY_CHANGED'} end -- guard: policy_epoch
end

-- The attempt is its worker's; the answer is until when. That it is on its way no more, that the worker holds it and when that is over is
-- for the caller to write down.
local function begin(own, state, job_id, attempt, nonce, now, moment)
  local step = state.step
  local deadline = string.format('%.0f', now + state.timeout_ms)
  redis.call('HSET', own.steps, step, 'running:' .. attempt)
  redis.call('HSET', own.facts, step .. '#claim', nonce, step .. '#begun', moment .. ' ' .. deadline .. ' ' .. a_incarnation)
  redis.call('RPUSH', own.timeline, moment .. '|{"type":"step.started","step_id":"' .. step .. '","attempt":' .. attempt .. ',"job_id":"' .. job_id
    .. '","actor":' .. a_actor .. ',"from":"queued","to":"running"}')
  return deadline
end
