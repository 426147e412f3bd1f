-- delete_schedule: forget a schedule; its runs stay.
-- KEYS schedule schedules schedules_due
-- ARGV id name
-- REPLY DELETED NOT_FOUND
if redis.call('DEL', k_schedule) == 0 then return {'NOT_FOUND'} end
redis.call('SREM', k_schedules, a_id)
redis.call('ZREM', k_schedules_due, a_name)
return {'DELETED'}
