-- resolve_approval: one person's decision, once; it comes back to the step as the result of the gate's job.
-- KEYS approval run steps facts outputs timeline clock open_approvals asked wakeups coordinator stats
-- ARGV run_id job_id step decision person comment verified after output failure approved_request event message
-- REPLY RESOLVED ALREADY NOT_FOUND
-- MOVES waiting>succeeded waiting>settling waiting>pending
-- include clock timeline count wake
local approval = redis.call('HMGET', k_approval, 'state', 'decided_by', 'decided_at', 'comment')
if not approval[1] then return {'NOT_FOUND'} end
-- Whatever takes a step out of `waiting` closes its approval in the same script: an open one means that the step waits.
if approval[1] ~= 'pending' then return {'ALREADY', approval[1], approval[2] or '', approval[3] or '', approval[4] or ''} end -- guard: undecided
local now = clock_now()
redis.call('HSET', k_approval, 'state', a_decision, 'decided_by', a_person, 'decided_at', string.format('%.0f', now), 'comment', a_comment, 'verified', a_verified)
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
wake(a_run_id, now, a_message) -- guard: mark_due
return {'RESOLVED', string.format('%.0f', now)}
