-- ring: one message for the coordinators, unless one is waiting: ticks must not pile up while nobody listens.
-- KEYS coordinator
-- ARGV message
-- REPLY RUNG WAITING
if redis.call('LLEN', k_coordinator) > 0 then return {'WAITING'} end -- guard: one_pending
redis.call('LPUSH', k_coordinator, a_message)
return {'RUNG'}
