-- deliver_signal: hand an event to every step of a tenant that waits for it, once for a delivery; with nobody waiting it is kept.
-- `seen`: how many wait, as the caller saw it; of each follow run, step and four keys. `most`: so many are kept for a tenant.
-- KEYS waiting kept kept_index delivery clock wakeups coordinator audit audited ...
-- ARGV seen token fingerprint ttl_sec keep_ms most outcome signal event message tenant ...
-- REPLY DELIVERED KEPT REPLAYED KEY_REUSED MOVED FULL
-- include clock timeline audit wake
local known = redis.call('GET', k_delivery)
if known then
  local fingerprint, outcome = string.match(known, '^(%S+) (.*)$')
  if fingerprint ~= a_fingerprint then return {'KEY_REUSED'} end -- guard: same_signal
  return {'REPLAYED', outcome} -- guard: first_only
end
local function as_seen()
  if redis.call('SCARD', k_waiting) ~= tonumber(a_seen) then return false end
  for i = 12, #ARGV, 2 do
    if redis.call('SISMEMBER', k_waiting, ARGV[i] .. ' ' .. ARGV[i + 1]) == 0 then return false end
  end
  return true
end
if not as_seen() then return {'MOVED'} end -- guard: waiting_as_seen
local now = clock_now()
if a_seen == '0' then
  redis.call('ZREMRANGEBYSCORE', k_kept_index, '-inf', string.format('%.0f', now))
  if redis.call('ZCARD', k_kept_index) >= tonumber(a_most) then return {'FULL'} end -- guard: not_too_many
  local expires = string.format('%.0f', now + tonumber(a_keep_ms))
  redis.call('RPUSH', k_kept, expires .. '\n' .. a_token .. '\n' .. a_event .. '\n' .. a_signal)
  redis.call('PEXPIRE', k_kept, a_keep_ms)
  redis.call('ZADD', k_kept_index, expires, a_token)
end
redis.call('SET', k_delivery, a_fingerprint .. ' ' .. a_outcome, 'EX', a_ttl_sec)
-- Whoever has heard it waits no more: a next one is for those who wait then.
redis.call('DEL', k_waiting)
for i = 12, #ARGV, 2 do
  local at = 10 + 2 * (i - 12)
  local run, inbox, once, timeline = KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
  redis.call('HSET', once, 'signal:' .. a_token .. '#' .. ARGV[i + 1], 1)
  redis.call('HSET', inbox, redis.call('HINCRBY', run, 'signals_sent', 1), a_signal)
  redis.call('HINCRBY', run, 'signals', 1)
  tell(timeline, now, a_event)
  audit(a_tenant, now, 'run:' .. ARGV[i], {a_event})
  wake(ARGV[i], now, a_message) -- guard: mark_due
end
if a_seen ~= '0' then return {'DELIVERED', a_outcome} end
return {'KEPT', a_outcome}
