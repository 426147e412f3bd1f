-- pause_queue: nothing of a topic begins any more. Its window closes, and the messages on its lists are put aside.
-- KEYS windows paused clock ...
-- ARGV topic by reason
-- REPLY PAUSED UNCHANGED
-- include clock
-- The further keys are pairs: a list, and where its messages lie meanwhile.
if redis.call('HEXISTS', k_paused, a_topic) == 1 then return {'UNCHANGED'} end
local before = redis.call('HGET', k_windows, a_topic) or ''
redis.call('HSET', k_paused, a_topic, string.format('%.0f', clock_now()) .. '\n' .. a_by .. '\n' .. before .. '\n' .. a_reason)
redis.call('HSET', k_windows, a_topic, '0')
for i = 4, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('RENAME', KEYS[i], KEYS[i + 1]) end
end
return {'PAUSED'}
