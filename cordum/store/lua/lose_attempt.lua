-- lose_attempt: the worker that ran an attempt is gone; the planner says what follows.
-- KEYS run steps facts timeline clock workers held window turns parked windows policy wakeups coordinator stats
-- ARGV run_id job_id step attempt incarnation topic failure event child_died minimum message
-- REPLY ADVANCE ALIVE STALE
-- MOVES running>settling
-- include clock timeline count wake release quota
local now = clock_now()
if a_child_died ~= '1' then
  local lease = redis.call('ZSCORE', k_workers, a_incarnation)
  if lease and tonumber(lease) >= now then return {'ALIVE'} end -- guard: lease_over
end
redis.call('SREM', k_held, a_job_id)
if redis.call('HGET', k_steps, a_step) ~= 'running:' .. a_attempt then return {'STALE'} end -- guard: attempt_running
local facts = redis.call('HMGET', k_facts, a_step .. '#begun', a_step .. '#places')
if string.match(facts[1] or '', '^%S* %S* (.*)$') ~= a_incarnation then return {'STALE'} end -- guard: attempt_held
redis.call('HSET', k_steps, a_step, 'settling:' .. a_attempt)
redis.call('HSET', k_facts, a_step .. '#completed_at', string.format('%.0f', now), a_step .. '#outcome', 'lost', a_step .. '#failure', a_failure)
redis.call('SREM', k_window, a_job_id)
redis.call('HINCRBY', k_run, 'signals', 1)
count('attempts_ended:lost:' .. a_topic)
tell(k_timeline, now, a_event)
release(a_topic, k_window, k_turns, k_parked, now, a_minimum)
free_quotas(a_job_id, facts[2], now, a_minimum) -- guard: quotas_freed
wake(a_run_id, now, a_message) -- guard: mark_due
return {'ADVANCE'}
