-- once: hand out a name to the first who asks for it, in this step.
-- KEYS once steps
-- ARGV step attempt name
-- REPLY FIRST TAKEN STALE
if redis.call('HGET', k_steps, a_step) ~= 'running:' .. a_attempt then return {'STALE'} end -- guard: attempt_running
local field = a_step .. '#' .. a_name
-- The reply of an earlier call was lost: the same attempt is answered the same again. Worker-side it asks but once.
if redis.call('HGET', k_once, field) == a_attempt then return {'FIRST'} end
if redis.call('HSETNX', k_once, field, a_attempt) == 0 then return {'TAKEN'} end -- guard: first_only
return {'FIRST'}
