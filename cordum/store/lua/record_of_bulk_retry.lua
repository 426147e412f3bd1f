-- record_of_bulk_retry: what has come of the dead letter at this position; the next one's turn is after a pause.
-- KEYS bulk bulks clock
-- ARGV id position result code burst_ms
-- REPLY RECORDED STALE
-- include clock
-- Another coordinator has done the same letter, or the bulk retry was stopped.
if redis.call('HGET', k_bulk, 'position') ~= a_position then return {'STALE'} end -- guard: position
local now = clock_now()
local position = redis.call('HINCRBY', k_bulk, 'position', 1)
redis.call('HINCRBY', k_bulk, a_result, 1)
if a_code ~= '' then redis.call('HINCRBY', k_bulk, a_result .. ':' .. a_code, 1) end
-- What could not be done in time is caught up with for so long and no longer: after an outage the rate still holds.
local due = math.max(tonumber(redis.call('HGET', k_bulk, 'next_at')), now - tonumber(a_burst_ms))
redis.call('HSET', k_bulk, 'next_at', string.format('%.3f', due + 1000 / tonumber(redis.call('HGET', k_bulk, 'rate'))))
if position >= tonumber(redis.call('HGET', k_bulk, 'total')) and redis.call('HGET', k_bulk, 'state') == 'running' then
  redis.call('HSET', k_bulk, 'state', 'done', 'ended_at', string.format('%.0f', now))
  redis.call('SREM', k_bulks, a_id)
end
return {'RECORDED'}
