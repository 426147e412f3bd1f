-- take_dead_letter: hand a dead letter over to code, once, however often its message comes.
-- KEYS letter sent clock
-- ARGV job_id nonce worker
-- REPLY TAKEN STALE NOT_FOUND
-- include clock
if redis.call('EXISTS', k_letter) == 0 then
  redis.call('ZREM', k_sent, a_job_id)
  return {'NOT_FOUND'}
end
local nonce = redis.call('HGET', k_letter, 'taken_nonce')
-- The same delivery asks again when the reply was lost.
if nonce == a_nonce then return {'TAKEN'} end
if nonce then return {'STALE'} end -- guard: not_taken
redis.call('ZREM', k_sent, a_job_id)
redis.call('HSET', k_letter, 'taken_nonce', a_nonce, 'taken_by', a_worker, 'taken_at', string.format('%.0f', clock_now()))
return {'TAKEN'}
