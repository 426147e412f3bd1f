-- record_result: write down how attempts of one worker ended, each once, have their runs advanced, and give their places in the windows of
-- their topics to the next ready jobs. Each is answered for itself; what goes wrong with one (FAILED) stands behind all answers.
-- KEYS clock held windows policy wakeups coordinator stats each: run steps facts inputs outputs prepared children timeline window turns parked
-- ARGV actor minimum message templates each: run_id job_id step attempt nonce topic outcome output failure retry_after_ms fan
-- REPLY ADVANCE RECORDED STALE FAILED
-- MOVES running>succeeded running>settling
-- include clock timeline wake release afterwards quota:free_quotas spent straight ahead
local now, moment = clock_now()

local function event_of(type, rest)
  return '{"type":"' .. type .. '","step_id":"' .. a_step .. '","attempt":' .. a_attempt .. ',"job_id":"' .. a_job_id .. '","actor":' .. a_actor .. rest .. '}'
end

local function record()
  if redis.call('HGET', k_steps, a_step) ~= 'running:' .. a_attempt then -- guard: attempt_running
    if redis.call('HGET', k_facts, a_step .. '#recorded') == a_nonce then return {'RECORDED'} end -- guard: own_result
    if is_put_away_with(a_nonce) then return {'RECORDED'} end -- guard: own_child
    count('results_stale')
    if redis.call('EXISTS', k_run) == 1 then tell(k_timeline, moment, event_of('result.ignored', ',"data":{"outcome":"' .. a_outcome .. '"}')) end
    return {'STALE'}
  end
  local claim, places, sent, following = unpack(redis.call('HMGET', k_facts, a_step .. '#claim', a_step .. '#places', a_step .. '#sent', a_step .. '#next'))
  if claim ~= a_nonce then count('results_stale') return {'STALE'} end -- guard: same_claim
  -- What the policy allows a result to have is held here, too: not every worker is of this version, or means well.
  local outcome, failure = a_outcome, a_failure
  if outcome == 'success' and sent and string.find(sent, 'max_result_bytes', 1, true) then
    local limit = string.match(sent, '"max_result_bytes":(%d+)')
    if limit and #a_output > tonumber(limit) then
      outcome = 'fatal'
      failure = string.format('{"code":"result_too_large","message":"the result has %d bytes, %s are allowed"}', #a_output, limit)
    end
  end
  local done = outcome == 'success'
  local events = {done and event_of('step.succeeded', ',"from":"running","to":"succeeded"') or nil}
  local way = way_of(a_topic, k_window, k_turns, k_parked)
  leave_afterwards(way, a_job_id)
  if places and places ~= '' then
    -- Who gets them may be of this run, too: of what is told there its own end comes first.
    if done then tell(k_timeline, moment, events[1]) end
    events = {}
    move_on()
    free_quotas(a_job_id, places, now, a_minimum) -- guard: quotas_freed
  end
  local found
  if done and following then found = foreseen(following)
  elseif done and a_fan ~= '' then found = next_of_fan(way) end
  local marks = {a_step, (done and 'succeeded:' or 'settling:') .. a_attempt}
  local written = {a_step .. '#recorded', a_nonce, a_step .. '#completed_at', moment}
  -- A first attempt that has succeeded has nothing more to say here, and no earlier one has left anything: most steps are shorter for it.
  if not (done and a_attempt == '1') then
    for i, text in ipairs({a_step .. '#outcome', outcome, a_step .. '#failure', failure, a_step .. '#retry_after_ms', a_retry_after_ms}) do written[4 + i] = text end
  end
  local straight = found and (found.ending or found.fan or #found.jobs > 0)
  if straight and found.fan then marks, written = put_child_away(found, moment) end
  if straight and found.ending then events[#events + 1] = found.ending.told
  elseif straight and #found.jobs > 0 then set_out_prepared(found.jobs, marks, written, events, moment) end
  -- The marks come last: where something cannot be written the attempt still runs, and is lost.
  if done then redis.call('HSET', k_outputs, a_step, a_output) end
  redis.call('HSET', k_facts, unpack(written))
  if #marks > 0 then redis.call('HSET', k_steps, unpack(marks)) end
  if #events > 0 then tell(k_timeline, moment, unpack(events)) end
  local counted = 'attempts_ended:' .. outcome .. ':' .. a_topic
  if done then counted = counted .. '|steps_ended:succeeded:' .. a_topic end
  if straight then counted = (found.ending and found.ending.counted .. '|' or '') .. counted .. '|commits:straight' end
  count(counted)
  if straight then
    if found.fan then return go_ahead(found, moment) end
    go_straight(found, moment)
    return {'RECORDED'}
  end
  -- Of many children most need nobody to look: the planner has said how many results it can do without.
  if done and a_fan ~= '' and not has_enough() then return {'RECORDED'} end
  -- A signal even if nobody has to look: a plan that was made before this result must not clear a mark. (What went straight has moved the
  -- run's version on, which says more.)
  redis.call('HINCRBY', k_run, 'signals', 1)
  if found then return {'RECORDED'} end
  wake(a_run_id, now, a_message) -- guard: mark_due
  return {'ADVANCE'}
end

local words, faults = {}, {}

-- One that goes wrong is no reason for others to be lost; that Redis is full is for all to hear.
local function judged(fine, answer)
  if fine then return answer end
  local fault = type(answer) == 'table' and answer.err or tostring(answer)
  if string.find(fault, 'OOM ', 1, true) or string.find(fault, 'MISCONF ', 1, true) then error(answer, 0) end
  faults[#faults + 1] = fault
  return {'FAILED'}
end

for number = 0, (#KEYS - 7) / 11 - 1 do
  local key, arg = 8 + 11 * number, 5 + 11 * number
  k_run, k_steps, k_facts, k_inputs, k_outputs, k_prepared, k_children, k_timeline, k_window, k_turns, k_parked = unpack(KEYS, key, key + 10)
  a_run_id, a_job_id, a_step, a_attempt, a_nonce, a_topic, a_outcome, a_output, a_failure, a_retry_after_ms, a_fan = unpack(ARGV, arg, arg + 10)
  words[number + 1] = judged(pcall(record))[1]
end
finish(moment, a_minimum)
for _, fault in ipairs(faults) do words[#words + 1] = fault end
return words
