-- take_due: some runs to advance, set aside for a moment so that another coordinator takes others. Only a courtesy: the mark stays.
-- KEYS wakeups clock
-- ARGV limit aside_ms
-- REPLY DUE
-- include clock
local now = clock_now()
local due = redis.call('ZRANGEBYSCORE', k_wakeups, '-inf', string.format('%.0f', now), 'LIMIT', 0, tonumber(a_limit))
for _, run_id in ipairs(due) do redis.call('ZADD', k_wakeups, 'XX', string.format('%.0f', now + tonumber(a_aside_ms)), run_id) end
return {'DUE', due}
