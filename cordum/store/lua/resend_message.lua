-- resend_message: put the message of an unclaimed job on its list again, under the same job id.
-- KEYS list sent suspects timeline clock stats paused
-- ARGV job_id sent_at topic event message
-- REPLY RESENT STALE
-- include clock timeline count
-- Whatever takes a step out of `queued` takes its job out of `sent` in the same script.
redis.call('HDEL', k_suspects, a_job_id .. ' ' .. a_sent_at)
if redis.call('ZSCORE', k_sent, a_job_id) ~= a_sent_at then return {'STALE'} end -- guard: still_unclaimed
-- What lies aside is not lost.
if redis.call('HEXISTS', k_paused, a_topic) == 1 then return {'STALE'} end -- guard: queue_open
local now = clock_now()
redis.call('ZADD', k_sent, string.format('%.0f', now), a_job_id)
redis.call('LPUSH', k_list, a_message)
count('messages_resent')
tell(k_timeline, now, a_event)
return {'RESENT'}
