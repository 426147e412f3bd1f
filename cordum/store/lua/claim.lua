-- claim: the first act of a worker on a message; it begins the attempt, once.
-- KEYS run steps facts inputs timeline clock policy workers sent held timers parked windows window turns wakeups coordinator stats
-- ARGV run_id job_id step attempt incarnation actor nonce topic changed_event paused_event minimum message
-- REPLY CLAIMED STALE NO_LEASE POLICY_CHANGED PAUSED
-- MOVES queued>pending
-- include clock timeline count wake release+quota:release,free_quotas claim
local now, moment = clock_now()
local own = {run = k_run, steps = k_steps, facts = k_facts, inputs = k_inputs, timeline = k_timeline}
local state, run = state_of(own, a_step), run_of(own)
-- The reply of an earlier call was lost: the same claim is answered again. Another delivery of the message has another nonce.
if state.mark == 'running:' .. a_attempt and state.claim == a_nonce then return grant(own, state, run) end -- guard: own_claim
local refused = refusal(state, a_attempt, has_lease(now), run, policy_epoch())

-- The step goes back to the planner; its attempt is not used.
local function give_back(event)
  redis.call('ZREM', k_sent, a_job_id)
  redis.call('HSET', k_steps, a_step, 'pending:' .. string.format('%.0f', a_attempt - 1))
  redis.call('SREM', k_window, a_job_id)
  redis.call('HINCRBY', k_run, 'signals', 1)
  tell(k_timeline, now, event)
  release(a_topic, k_window, k_turns, k_parked, now, a_minimum)
  free_quotas(a_job_id, state.places, now, a_minimum) -- guard: quotas_freed
  wake(a_run_id, now, a_message) -- guard: mark_due
end

if refused then
  if refused[1] == 'STALE' then count('claims_stale')
  elseif refused[1] == 'PAUSED' then give_back(a_paused_event)
  elseif refused[1] == 'POLICY_CHANGED' then give_back(a_changed_event) end
  return refused
end
local deadline = begin(own, state, a_job_id, a_attempt, a_nonce, now, moment)
write_begun()
redis.call('ZREM', k_sent, a_job_id)
redis.call('SADD', k_held, a_job_id)
redis.call('ZADD', k_timers, 'LT', deadline, a_run_id)
return grant(own, state, run)
