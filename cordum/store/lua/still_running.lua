-- still_running: whether an attempt is still its worker's business; a note about its progress goes onto the timeline.
-- KEYS steps facts timeline clock
-- ARGV step attempt incarnation event
-- REPLY RUNNING STALE
-- include clock timeline
if redis.call('HGET', k_steps, a_step) ~= 'running:' .. a_attempt then return {'STALE'} end -- guard: attempt_running
if string.match(redis.call('HGET', k_facts, a_step .. '#begun') or '', '^%S* %S* (.*)$') ~= a_incarnation then return {'STALE'} end -- guard: attempt_held
if a_event ~= '' then tell(k_timeline, clock_now(), a_event) end
return {'RUNNING'}
