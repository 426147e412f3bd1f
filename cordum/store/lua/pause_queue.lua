-- pause_queue: nothing of a topic begins any more. Its window closes, and the messages on its lists are put aside.
-- KEYS windows paused clock audit audited ...
-- ARGV topic by reason tenant event
-- REPLY PAUSED UNCHANGED
-- include clock audit
-- The further keys are pairs: a list, and where its messages lie meanwhile.
if redis.call('HEXISTS', k_paused, a_topic) == 1 then return {'UNCHANGED'} end
local before = redis.call('HGET', k_windows, a_topic) or ''
local now = clock_now()
redis.call('HSET', k_paused, a_topic, string.format('%.0f', now) .. '\n' .. a_by .. '\n' .. before .. '\n' .. a_reason)
redis.call('HSET', k_windows, a_topic, '0')
for i = 6, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('RENAME', KEYS[i], KEYS[i + 1]) end
end
audit(a_tenant, now, 'queue:' .. a_topic, {a_event})
return {'PAUSED'}
