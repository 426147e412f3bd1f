-- trim_bulk_retries: forget bulk retries that ended at `until` or before; one that goes on, or ended since, stays.
-- KEYS bulks_of ...
-- ARGV until ...
-- REPLY TRIMMED
-- The further arguments are ids, the further keys two for each: the bulk retry, and its letters.
local gone = 0
for at = 2, #ARGV do
  local bulk, letters = KEYS[2 * at - 2], KEYS[2 * at - 1]
  local ended_at = tonumber(redis.call('HGET', bulk, 'ended_at') or 'inf')
  if ended_at <= tonumber(a_until) then
    redis.call('DEL', bulk, letters)
    redis.call('ZREM', k_bulks_of, ARGV[at])
    gone = gone + 1
  end
end
return {'TRIMMED', gone}
