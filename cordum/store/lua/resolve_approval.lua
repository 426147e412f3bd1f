-- resolve_approval: one person's decision, once; it comes back to the step as the result of the gate's job.
-- KEYS approval run steps facts outputs timeline clock open_approvals asked wakeups coordinator stats audit audited
-- ARGV run_id job_id step decision person comment verified after output failure approved_request event vote_event seen tenant message
-- REPLY RESOLVED COUNTED ALREADY STALE NOT_FOUND
-- MOVES waiting>succeeded waiting>settling waiting>pending
-- include clock timeline audit count waited wake
local approval = redis.call('HMGET', k_approval, 'state', 'decided_by', 'decided_at', 'comment', 'request_hash', 'policy_digest', 'approvers', 'quorum',
  'voters')
if not approval[1] then return {'NOT_FOUND'} end
-- Whatever takes a step out of `waiting` closes its approval in the same script: an open one means that the step waits.
if approval[1] ~= 'pending' then return {'ALREADY', approval[1], approval[2] or '', approval[3] or '', approval[4] or ''} end -- guard: undecided
-- What the person has seen is what is decided: another question may be asked under the same job id by now, or of others.
local asked = approval[5] .. ' ' .. approval[6] .. ' ' .. approval[7]
if asked ~= a_seen then return {'STALE'} end -- guard: as_seen
local now = clock_now()
local quorum = tonumber(approval[8])
if a_decision == 'approved' and quorum > 1 then
  local voters = approval[9]
  -- One person counts once; names hold no line feeds.
  if string.find('\n' .. voters, '\n' .. a_person .. '\n', 1, true) then return {'COUNTED'} end -- guard: one_vote_each
  redis.call('HSET', k_approval, 'voters', voters .. a_person .. '\n')
  local votes = redis.call('HINCRBY', k_approval, 'votes', 1)
  if votes < quorum then -- guard: quorum_reached
    tell(k_timeline, now, a_vote_event)
    audit(a_tenant, now, 'run:' .. a_run_id, {a_vote_event})
    return {'COUNTED'}
  end
end
redis.call('HSET', k_approval, 'state', a_decision, 'decided_by', a_person, 'decided_at', string.format('%.0f', now), 'comment', a_comment, 'verified', a_verified)
waited(a_decision, redis.call('ZSCORE', k_asked, a_job_id), now)
redis.call('ZREM', k_open_approvals, a_job_id)
redis.call('ZREM', k_asked, a_job_id)
redis.call('HSET', k_steps, a_step, a_after)
if a_decision == 'approved' then
  if a_approved_request ~= '' then redis.call('HSET', k_facts, a_step .. '#approved_request', a_approved_request)
  else
    redis.call('HSET', k_outputs, a_step, a_output)
    redis.call('HSET', k_facts, a_step .. '#completed_at', string.format('%.0f', now))
    count('steps_ended:succeeded:')
  end
else
  redis.call('HSET', k_facts, a_step .. '#completed_at', string.format('%.0f', now), a_step .. '#outcome', 'rejected', a_step .. '#failure', a_failure)
end
redis.call('HINCRBY', k_run, 'signals', 1)
tell(k_timeline, now, a_event)
audit(a_tenant, now, 'run:' .. a_run_id, {a_event})
wake(a_run_id, now, a_message) -- guard: mark_due
return {'RESOLVED', string.format('%.0f', now)}
