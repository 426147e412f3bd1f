-- delete_schedule: forget a schedule; its runs stay.
-- KEYS schedule schedules schedules_due clock audit audited
-- ARGV id name tenant event
-- REPLY DELETED NOT_FOUND
-- include clock audit
if redis.call('DEL', k_schedule) == 0 then return {'NOT_FOUND'} end
redis.call('SREM', k_schedules, a_id)
redis.call('ZREM', k_schedules_due, a_name)
audit(a_tenant, clock_now(), 'schedule:' .. a_id, {a_event})
return {'DELETED'}
