-- resend_message: put the message of an unclaimed job on its list again, under the same job id.
-- KEYS list sent suspects timeline clock stats
-- ARGV job_id sent_at event message
-- REPLY RESENT STALE
-- include clock timeline count
-- Whatever takes a step out of `queued` takes its job out of `sent` in the same script.
redis.call('HDEL', k_suspects, a_job_id .. ' ' .. a_sent_at)
if redis.call('ZSCORE', k_sent, a_job_id) ~= a_sent_at then return {'STALE'} end -- guard: still_unclaimed
local now = clock_now()
redis.call('ZADD', k_sent, string.format('%.0f', now), a_job_id)
redis.call('LPUSH', k_list, a_message)
count('messages_resent')
tell(k_timeline, now, a_event)
return {'RESENT'}
