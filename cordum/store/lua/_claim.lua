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

local runs = {}
local function run_of(own)
  if not runs[own.run] then
    local run = redis.call('HMGET', own.run, 'status', 'tenant', 'workflow_id', 'labels')
    runs[own.run] = {status = run[1], tenant = run[2], workflow_id = run[3], labels = run[4]}
  end
  return runs[own.run]
end

-- What a worker is told of an attempt that is its own. A run's input may be large, and most steps have one of their own.
local function grant(own, state, run)
  local input = redis.call('HGET', own.inputs, state.step) or redis.call('HGET', own.run, 'input')
  return {'CLAIMED', run.tenant, run.workflow_id, run.labels, input, state.timeout_ms, state.retries_left, state.shape, state.decision}
end

-- The answer to a claim that must not be granted; nil: it may be.
local function refusal(state, attempt, alive, run, epoch)
  if state.mark ~= 'queued:' .. attempt then return {'STALE'} end -- guard: step_queued
  if not alive then return {'NO_LEASE'} end -- guard: worker_lease
  if run.status == 'paused' then return {'PAUSED'} end -- guard: run_paused
  if state.epoch ~= epoch then return {'POLICY_CHANGED'} end -- guard: policy_epoch
end

-- The attempt is its worker's; the answer is until when. What that writes into its run is for `write_begun`, since several may be of one run;
-- that it is on its way no more, that the worker holds it and when that is over is for the caller to write down.
local begun_in = {}
local function begin(own, state, job_id, attempt, nonce, now, moment)
  local step, of_run = state.step, begun_in[own.run]
  if not of_run then
    of_run = {own = own, marks = {}, facts = {}, events = {}}
    begun_in[#begun_in + 1], begun_in[own.run] = of_run, of_run
  end
  local deadline, marks, facts = string.format('%.0f', now + state.timeout_ms), of_run.marks, of_run.facts
  marks[#marks + 1], marks[#marks + 2] = step, 'running:' .. attempt
  facts[#facts + 1], facts[#facts + 2] = step .. '#claim', nonce
  facts[#facts + 1], facts[#facts + 2] = step .. '#begun', moment .. ' ' .. deadline .. ' ' .. a_incarnation
  of_run.events[#of_run.events + 1] = moment .. '|{"type":"step.started","step_id":"' .. step .. '","attempt":' .. attempt .. ',"job_id":"' .. job_id
    .. '","actor":' .. a_actor .. ',"from":"queued","to":"running"}'
  return deadline
end

local function write_begun()
  for _, of_run in ipairs(begun_in) do
    redis.call('HSET', of_run.own.steps, unpack(of_run.marks))
    redis.call('HSET', of_run.own.facts, unpack(of_run.facts))
    redis.call('RPUSH', of_run.own.timeline, unpack(of_run.events))
  end
end
