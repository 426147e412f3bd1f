-- record_result: write down how an attempt ended, once, give its place in the window to the next ready job, and have the run advanced.
-- KEYS run steps facts inputs outputs prepared children timeline clock held window turns parked windows policy wakeups coordinator stats
-- ARGV run_id job_id step attempt nonce topic outcome output failure retry_after_ms event ignored_event minimum message fan
-- REPLY ADVANCE RECORDED STALE
-- MOVES running>succeeded running>settling
-- include clock timeline count wake release quota spent straight ahead
local now = clock_now()
if redis.call('HGET', k_steps, a_step) ~= 'running:' .. a_attempt then -- guard: attempt_running
  if redis.call('HGET', k_facts, a_step .. '#recorded') == a_nonce then return {'RECORDED'} end -- guard: own_result
  if is_put_away_with(a_nonce) then return {'RECORDED'} end -- guard: own_child
  count('results_stale')
  if redis.call('EXISTS', k_run) == 1 then tell(k_timeline, now, a_ignored_event) end
  return {'STALE'}
end
local facts = redis.call('HMGET', k_facts, a_step .. '#claim', a_step .. '#places', a_step .. '#decision', a_step .. '#next')
if facts[1] ~= a_nonce then count('results_stale') return {'STALE'} end -- guard: same_claim
-- What the policy allows a result to have is held here, too: not every worker is of this version, or means well.
local outcome, failure = a_outcome, a_failure
if outcome == 'success' then
  local limit = string.match(facts[3] or '', '"max_result_bytes":(%d+)')
  if limit and #a_output > tonumber(limit) then
    outcome = 'fatal'
    failure = string.format('{"code":"result_too_large","message":"the result has %d bytes, %s are allowed"}', #a_output, limit)
  end
end
local done = outcome == 'success'
redis.call('HSET', k_steps, a_step, (done and 'succeeded:' or 'settling:') .. a_attempt)
redis.call('HSET', k_facts, a_step .. '#recorded', a_nonce, a_step .. '#completed_at', string.format('%.0f', now))
-- A first attempt that has succeeded has nothing to say here, and no earlier one has left anything: most steps are shorter for it.
if not (done and a_attempt == '1') then
  redis.call('HSET', k_facts, a_step .. '#outcome', outcome, a_step .. '#failure', failure, a_step .. '#retry_after_ms', a_retry_after_ms)
end
if done then
  redis.call('HSET', k_outputs, a_step, a_output)
  tell(k_timeline, now, a_event)
  count('steps_ended:succeeded:' .. a_topic)
end
count('attempts_ended:' .. outcome .. ':' .. a_topic)
redis.call('SREM', k_held, a_job_id)
redis.call('SREM', k_window, a_job_id)
release(a_topic, k_window, k_turns, k_parked, now, a_minimum)
free_quotas(a_job_id, facts[2], now, a_minimum) -- guard: quotas_freed
-- Of many children most need nobody to look: the planner has said how many results it can do without.
if done and a_fan ~= '' then
  local word = go_ahead(now)
  if word then return {word} end
  if not has_enough() then return {'RECORDED'} end
end
-- A signal even if nobody has to look: a plan that was made before this result must not clear a mark.
redis.call('HINCRBY', k_run, 'signals', 1)
if done and facts[4] and go_straight(facts[4], now) then return {'RECORDED'} end
wake(a_run_id, now, a_message) -- guard: mark_due
return {'ADVANCE'}
