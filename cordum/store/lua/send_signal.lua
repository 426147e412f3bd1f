-- send_signal: put an event from outside before a run, once for a token; a step takes it now or later.
-- KEYS run inbox once timeline clock wakeups coordinator audit audited
-- ARGV run_id token signal event tenant message
-- REPLY SENT ENDED NOT_FOUND
-- include clock timeline audit wake
local status = redis.call('HGET', k_run, 'status')
if not status then return {'NOT_FOUND'} end
-- The reply of an earlier call was lost: the same token is the same signal, also when it was what the run ended with.
if redis.call('HEXISTS', k_once, 'signal:' .. a_token) == 1 then return {'SENT'} end -- guard: first_only
local ended = status == 'succeeded' or status == 'failed' or status == 'denied' or status == 'timed_out' or status == 'cancelled'
if ended then return {'ENDED', status} end -- guard: run_open
redis.call('HSET', k_once, 'signal:' .. a_token, 1)
local now = clock_now()
redis.call('HSET', k_inbox, redis.call('HINCRBY', k_run, 'signals_sent', 1), a_signal)
redis.call('HINCRBY', k_run, 'signals', 1)
tell(k_timeline, now, a_event)
audit(a_tenant, now, 'run:' .. a_run_id, {a_event})
wake(a_run_id, now, a_message) -- guard: mark_due
return {'SENT'}
