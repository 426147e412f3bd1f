-- keep_run: set a run aside that is needed for now; those that were set aside are looked at in turn. One that goes on again is in neither list.
-- KEYS ended needed clock
-- ARGV run_id
-- REPLY KEPT
-- include clock
if redis.call('ZREM', k_ended, a_run_id) == 1 or redis.call('ZSCORE', k_needed, a_run_id) then
  redis.call('ZADD', k_needed, string.format('%.0f', clock_now()), a_run_id)
end
return {'KEPT'}
