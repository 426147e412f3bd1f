-- apply_plan: commit what was planned from one snapshot, unless the run has moved on since.
-- KEYS run steps facts inputs outputs timeline clock policy timers parked windows approvals open_approvals dead_letters wakeups stats ...
-- ARGV plan version signals ...
-- REPLY COMMITTED CONFLICT POLICY_CHANGED
-- MOVES planned
-- include clock timeline release commit
local plan = cjson.decode(a_plan)
if redis.call('HGET', k_run, 'version') ~= a_version then return {'CONFLICT'} end -- guard: run_version
for _, move in ipairs(plan.moves) do
  if redis.call('HGET', k_steps, move[1]) ~= move[2] then return {'CONFLICT'} end -- guard: step_states
end
if plan.epoch and (redis.call('HGET', k_policy, 'epoch') or '0') ~= plan.epoch then return {'POLICY_CHANGED'} end -- guard: policy_epoch
local now = clock_now()
commit(plan, 4, now)
-- The mark goes only if nothing was recorded since the snapshot: else somebody has to look again.
local seen = redis.call('HGET', k_run, 'signals') == a_signals -- guard: no_newer_signal
if seen then redis.call('ZREM', k_wakeups, plan.run) end
return {'COMMITTED'}
