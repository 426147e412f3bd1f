-- find_unclaimed: messages of one list that were taken from it and never claimed.
-- Age proves nothing in a long queue. A list is first in, first out: a message older than the oldest one left must have been taken, and if
-- nobody has claimed it for the grace period, whoever took it is gone.
-- KEYS list sent suspects clock paused
-- ARGV topic grace_ms limit
-- REPLY FOUND
-- include clock
-- The list of a paused topic is empty, though nothing was taken from it.
if redis.call('ZCARD', k_sent) == 0 or redis.call('HEXISTS', k_paused, a_topic) == 1 then
  redis.call('DEL', k_suspects)
  return {'FOUND', {}}
end
local now = clock_now()
local edge = '+inf'
local oldest = redis.call('LINDEX', k_list, -1)
if oldest then
  local job_id = string.match(oldest, '"id":%s*"([^"]+)"')
  local sent_at = job_id and redis.call('ZSCORE', k_sent, job_id)
  if not sent_at then return {'FOUND', {}} end
  edge = '(' .. sent_at
end
local lost = {}
local taken = redis.call('ZRANGEBYSCORE', k_sent, '-inf', edge, 'WITHSCORES', 'LIMIT', 0, tonumber(a_limit))
for i = 1, #taken, 2 do
  local suspect = taken[i] .. ' ' .. taken[i + 1]
  local since = redis.call('HGET', k_suspects, suspect)
  if not since then redis.call('HSET', k_suspects, suspect, string.format('%.0f', now))
  elseif now - tonumber(since) >= tonumber(a_grace_ms) then
    lost[#lost + 1] = taken[i]
    lost[#lost + 1] = taken[i + 1]
  end
end
return {'FOUND', lost}
