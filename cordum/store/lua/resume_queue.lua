-- resume_queue: a paused topic goes on. The messages put aside are back on their lists, in order, and ready jobs are sent at once.
-- KEYS windows paused clock turns parked window policy wakeups coordinator audit audited ...
-- ARGV topic minimum cause message lists tenant event ...
-- REPLY RESUMED UNCHANGED
-- include clock timeline audit wake release
-- The further keys are `lists` times three: a list, where its messages lie, when they were sent; then the timelines of jobs that
-- lie there. The further arguments are three for each of those: the job, the number of its list, the event.
local mark = redis.call('HGET', k_paused, a_topic)
if not mark then return {'UNCHANGED'} end
local now = clock_now()
local before = string.match(mark, '^[^\n]*\n[^\n]*\n([^\n]*)\n')
redis.call('HDEL', k_paused, a_topic)
if before == '' then redis.call('HDEL', k_windows, a_topic) else redis.call('HSET', k_windows, a_topic, before) end
local first_timeline = 12 + 3 * a_lists
for i = 8, #ARGV, 3 do
  local sent = KEYS[11 + 3 * ARGV[i + 1]]
  -- Those withdrawn meanwhile do not begin.
  if redis.call('ZSCORE', sent, ARGV[i]) then tell(KEYS[first_timeline + (i - 8) / 3], now, ARGV[i + 2]) end
end
for number = 1, tonumber(a_lists) do
  local list, aside = KEYS[9 + 3 * number], KEYS[10 + 3 * number]
  while redis.call('RPOPLPUSH', aside, list) do end
end
release(a_topic, k_window, k_turns, k_parked, now, a_minimum, a_cause)
audit(a_tenant, now, 'queue:' .. a_topic, {a_event})
return {'RESUMED'}
