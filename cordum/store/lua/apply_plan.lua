-- apply_plan: commit what was planned from one snapshot, unless the run has moved on since.
-- KEYS run steps facts inputs outputs timeline clock policy timers windows workers context inbox coordinator approvals open_approvals asked dead_letters open_letters handled_letters letter_groups letter_tenants wakeups fired stats open_runs_of audit audited ...
-- ARGV plan version signals epoch looked_at message ...
-- REPLY COMMITTED CONFLICT POLICY_CHANGED
-- MOVES planned
-- include clock timeline audit count wake release route waited quota spent commit
local plan = cjson.decode(a_plan)

-- Whether so many results of a fan-out's children have come since the snapshot that nobody else will wake a coordinator for them: they
-- were told to wait for more than this plan asks for.
local function overtaken(plan)
  for _, fan in ipairs(plan.fans) do
    if tonumber(redis.call('HGET', k_facts, fan .. '#results') or '0') >= tonumber(redis.call('HGET', k_facts, fan .. '#wake_after')) then return true end
  end
  return false
end

-- A loose plan changes nothing: it says what is known of children that begin next, which holds while their fan-out goes on.
if not plan.loose and redis.call('HGET', k_run, 'version') ~= a_version then -- guard: run_version
  count('commits:conflict')
  -- Children begin without a look, one after the other: they stop until a plan is committed, or none would ever be.
  if plan.ahead and redis.call('EXISTS', k_run) == 1 then
    redis.call('HSET', k_run, 'held', 1)
    wake(plan.run, clock_now(), a_message)
  end
  return {'CONFLICT'}
end
for _, move in ipairs(plan.moves) do
  if (redis.call('HGET', k_steps, move[1]) or '') ~= move[2] then count('commits:conflict') return {'CONFLICT'} end -- guard: step_states
end
if plan.epoch and (redis.call('HGET', k_policy, 'epoch') or '0') ~= plan.epoch then -- guard: policy_epoch
  count('commits:policy_changed')
  return {'POLICY_CHANGED'}
end
local now = clock_now()
commit(plan, 7, now)
if plan.ahead and not plan.loose then redis.call('HDEL', k_run, 'held') end
-- What was taken back lets others in; what this plan itself sends stands behind those that waited before it.
for _, gone in ipairs(plan.withdrawn) do
  if gone.quotas then serve_quotas(gone.quotas, now, plan.window, gone.job) end -- guard: quotas_served
end
-- The mark goes only if nothing was recorded since the snapshot: else somebody has to look again, and the mark is set again, because
-- another commit may have taken it away that has seen the result but not what this one writes.
if overtaken(plan) then plan.again = true end -- guard: results_as_counted
local seen = redis.call('HGET', k_run, 'signals') == a_signals -- guard: no_newer_signal
-- A policy that was published meanwhile has marked the run, if it asks people something.
local same_policy = (redis.call('HGET', k_policy, 'epoch') or '0') == a_epoch -- guard: no_newer_policy
-- So has a timer that a claim has set since the snapshot, and that has gone off already.
local fired = redis.call('ZSCORE', k_fired, plan.run)
local none_fired = not fired or tonumber(fired) <= tonumber(a_looked_at) -- guard: no_later_timer
if none_fired and fired then redis.call('ZREM', k_fired, plan.run) end
if plan.again then wake(plan.run, now, a_message)
elseif seen and same_policy and none_fired then redis.call('ZREM', k_wakeups, plan.run) else redis.call('ZADD', k_wakeups, string.format('%.0f', now), plan.run) end
return {'COMMITTED'}
