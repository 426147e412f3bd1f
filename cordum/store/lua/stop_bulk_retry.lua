-- stop_bulk_retry: try none of its dead letters again that has not had its turn.
-- KEYS bulk bulks clock
-- ARGV id actor reason
-- REPLY STOPPED UNCHANGED
-- include clock
if redis.call('HGET', k_bulk, 'state') ~= 'running' then return {'UNCHANGED'} end -- guard: bulk_goes_on
redis.call('HSET', k_bulk, 'state', 'stopped', 'ended_at', string.format('%.0f', clock_now()), 'stopped_by', a_actor, 'stopped_reason', a_reason)
redis.call('SREM', k_bulks, a_id)
return {'STOPPED'}
