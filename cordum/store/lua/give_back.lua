-- give_back: a job that lies on a worker's direct list goes back to the planner, who finds another worker; its attempt is not used.
-- KEYS run steps facts clock policy workers sent list window turns parked windows timeline wakeups coordinator
-- ARGV run_id job_id step attempt incarnation topic sent_at hold_ms event minimum text message
-- REPLY GIVEN_BACK HELD STALE
-- MOVES queued>pending
-- include clock timeline wake release quota
-- Whatever takes a step out of `queued` takes its job out of `sent` in the same script.
if redis.call('ZSCORE', k_sent, a_job_id) ~= a_sent_at then return {'STALE'} end -- guard: still_unclaimed
local now = clock_now()
local lease = redis.call('ZSCORE', k_workers, a_incarnation)
local alive = lease and tonumber(lease) >= now
-- `hold_ms` 0: only because its worker is gone. The reason on the timeline is the caller's, so one never stands in for the other.
if a_hold_ms == '0' and alive then return {'HELD'} end
if now - tonumber(a_sent_at) < tonumber(a_hold_ms) then return {'HELD'} end
redis.call('ZREM', k_sent, a_job_id)
redis.call('LREM', k_list, 0, a_text)
redis.call('HSET', k_steps, a_step, 'pending:' .. string.format('%.0f', a_attempt - 1))
redis.call('SREM', k_window, a_job_id)
redis.call('HINCRBY', k_run, 'signals', 1)
tell(k_timeline, now, a_event)
release(a_topic, k_window, k_turns, k_parked, now, a_minimum)
free_quotas(a_job_id, redis.call('HGET', k_facts, a_step .. '#places'), now, a_minimum) -- guard: quotas_freed
wake(a_run_id, now, a_message) -- guard: mark_due
return {'GIVEN_BACK'}
