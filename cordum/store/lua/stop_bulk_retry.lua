-- stop_bulk_retry: try none of its dead letters again that has not had its turn.
-- KEYS bulk bulks clock audit audited
-- ARGV id actor reason tenant event
-- REPLY STOPPED UNCHANGED
-- include clock audit
if redis.call('HGET', k_bulk, 'state') ~= 'running' then return {'UNCHANGED'} end -- guard: bulk_goes_on
local now = clock_now()
redis.call('HSET', k_bulk, 'state', 'stopped', 'ended_at', string.format('%.0f', now), 'stopped_by', a_actor, 'stopped_reason', a_reason)
redis.call('SREM', k_bulks, a_id)
audit(a_tenant, now, 'bulk_retry:' .. a_id, {a_event})
return {'STOPPED'}
