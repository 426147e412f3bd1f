-- claim: the first act of a worker on a message; it begins the attempt, once.
-- KEYS run steps facts inputs timeline clock policy workers sent held timers parked windows window turns wakeups coordinator stats
-- ARGV run_id job_id step attempt incarnation nonce topic event changed_event paused_event minimum message
-- REPLY CLAIMED STALE NO_LEASE POLICY_CHANGED PAUSED
-- MOVES queued>running queued>pending
-- include clock timeline count wake release+quota:release,free_quotas
local now = clock_now()
local facts = redis.call('HMGET', k_facts, a_step .. '#claim', a_step .. '#epoch', a_step .. '#timeout_ms', a_step .. '#retries_left',
  a_step .. '#shape', a_step .. '#decision', a_step .. '#places')
local state = redis.call('HGET', k_steps, a_step)

local function grant()
  local run = redis.call('HMGET', k_run, 'tenant', 'workflow_id', 'labels', 'input')
  local input = redis.call('HGET', k_inputs, a_step) or run[4]
  return {'CLAIMED', run[1], run[2], run[3], input, facts[3], facts[4] or '0', facts[5] or '', facts[6] or ''}
end

-- The reply of an earlier call was lost: the same claim is answered again. Another delivery of the message has another nonce.
if state == 'running:' .. a_attempt and facts[1] == a_nonce then return grant() end -- guard: own_claim
if state ~= 'queued:' .. a_attempt then -- guard: step_queued
  count('claims_stale')
  return {'STALE'}
end
local lease = redis.call('ZSCORE', k_workers, a_incarnation)
if not lease or tonumber(lease) < now then return {'NO_LEASE'} end -- guard: worker_lease
redis.call('ZREM', k_sent, a_job_id)

-- The step goes back to the planner; its attempt is not used.
local function give_back(event)
  redis.call('HSET', k_steps, a_step, 'pending:' .. string.format('%.0f', a_attempt - 1))
  redis.call('SREM', k_window, a_job_id)
  redis.call('HINCRBY', k_run, 'signals', 1)
  tell(k_timeline, now, event)
  release(a_topic, k_window, k_turns, k_parked, now, a_minimum)
  free_quotas(a_job_id, facts[7], now, a_minimum) -- guard: quotas_freed
  wake(a_run_id, now, a_message) -- guard: mark_due
end

if redis.call('HGET', k_run, 'status') == 'paused' then -- guard: run_paused
  give_back(a_paused_event)
  return {'PAUSED'}
end
if (redis.call('HGET', k_policy, 'epoch') or '0') ~= facts[2] then -- guard: policy_epoch
  give_back(a_changed_event)
  return {'POLICY_CHANGED'}
end
local deadline = string.format('%.0f', now + tonumber(facts[3]))
redis.call('HSET', k_steps, a_step, 'running:' .. a_attempt)
redis.call('HSET', k_facts, a_step .. '#claim', a_nonce, a_step .. '#worker', a_incarnation,
  a_step .. '#started_at', string.format('%.0f', now), a_step .. '#deadline', deadline)
redis.call('SADD', k_held, a_job_id)
redis.call('ZADD', k_timers, 'LT', deadline, a_run_id)
tell(k_timeline, now, a_event)
return grant()
