-- record_result: write down how an attempt ended, once, give its place in the window to the next ready job, and have the run advanced.
-- KEYS run steps facts inputs outputs prepared timeline clock held window turns parked windows policy wakeups coordinator stats
-- ARGV run_id job_id step attempt nonce topic outcome output failure retry_after_ms event ignored_event minimum message fan
-- REPLY ADVANCE RECORDED STALE
-- MOVES running>succeeded running>settling
-- include clock timeline count wake release quota:free_quotas straight
local now, moment = clock_now()
if redis.call('HGET', k_steps, a_step) ~= 'running:' .. a_attempt then -- guard: attempt_running
  if redis.call('HGET', k_facts, a_step .. '#recorded') == a_nonce then return {'RECORDED'} end -- guard: own_result
  count('results_stale')
  if redis.call('EXISTS', k_run) == 1 then tell(k_timeline, moment, a_ignored_event) end
  return {'STALE'}
end
local claim, places, decision, following = unpack(redis.call('HMGET', k_facts, a_step .. '#claim', a_step .. '#places', a_step .. '#decision', a_step .. '#next'))
if claim ~= a_nonce then count('results_stale') return {'STALE'} end -- guard: same_claim
-- What the policy allows a result to have is held here, too: not every worker is of this version, or means well.
local outcome, failure = a_outcome, a_failure
if outcome == 'success' and decision and string.find(decision, 'max_result_bytes', 1, true) then
  local limit = string.match(decision, '"max_result_bytes":(%d+)')
  if limit and #a_output > tonumber(limit) then
    outcome = 'fatal'
    failure = string.format('{"code":"result_too_large","message":"the result has %d bytes, %s are allowed"}', #a_output, limit)
  end
end
local done = outcome == 'success'
local events = {done and a_event or nil}
redis.call('SREM', k_held, a_job_id)
redis.call('SREM', k_window, a_job_id)
-- Who gets the places may be of this run, too: of what is told there its own end comes first.
if redis.call('EXISTS', k_turns) == 1 or (places and places ~= '') then
  if done then tell(k_timeline, moment, a_event) end
  events = {}
  release(a_topic, k_window, k_turns, k_parked, moment, a_minimum)
  free_quotas(a_job_id, places, now, a_minimum) -- guard: quotas_freed
end
local found = done and following and foreseen(following)
local marks = {a_step, (done and 'succeeded:' or 'settling:') .. a_attempt}
local written = {a_step .. '#recorded', a_nonce, a_step .. '#completed_at', moment}
-- A first attempt that has succeeded has nothing more to say here, and no earlier one has left anything: most steps are shorter for it.
if not (done and a_attempt == '1') then
  for i, text in ipairs({a_step .. '#outcome', outcome, a_step .. '#failure', failure, a_step .. '#retry_after_ms', a_retry_after_ms}) do written[4 + i] = text end
end
local straight = found and (found.ending or #found.jobs > 0)
if straight and found.ending then events[#events + 1] = found.event
elseif straight then set_out_prepared(found.jobs, marks, written, events, moment) end
redis.call('HSET', k_steps, unpack(marks))
redis.call('HSET', k_facts, unpack(written))
if done then redis.call('HSET', k_outputs, a_step, a_output) end
if #events > 0 then tell(k_timeline, moment, unpack(events)) end
local counted = 'attempts_ended:' .. outcome .. ':' .. a_topic
if done then counted = counted .. '|steps_ended:succeeded:' .. a_topic end
if straight then
  count((found.ending and found.ending[10] .. '|' or '') .. counted .. '|commits:straight')
  go_straight(found, moment)
  return {'RECORDED'}
end
count(counted)
-- Of many children most need nobody to look: the planner has said how many results it can do without.
if done and a_fan ~= '' then
  local results = redis.call('HINCRBY', k_facts, a_fan .. '#results', 1)
  local wake_after = redis.call('HGET', k_facts, a_fan .. '#wake_after')
  if wake_after and results < tonumber(wake_after) then return {'RECORDED'} end
end
-- A signal even if nobody has to look: a plan that was made before this result must not clear a mark. (What went straight has moved the
-- run's version on, which says more.)
redis.call('HINCRBY', k_run, 'signals', 1)
if found then return {'RECORDED'} end
wake(a_run_id, now, a_message) -- guard: mark_due
return {'ADVANCE'}
