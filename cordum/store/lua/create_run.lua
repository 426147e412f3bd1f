-- create_run: store a run with everything its first plan decided, once for an idempotency key. `tick`: the schedule that it is a run of
-- moves on with it, if it is as it was seen.
-- KEYS run steps facts inputs outputs timeline clock policy timers windows workers context inbox wakeups coordinator approvals open_approvals asked dead_letters open_letters handled_letters letter_groups letter_tenants stats open_runs_of audit audited idempotency runs runs_of workflow schedule schedules_due ...
-- ARGV plan fingerprint ttl_sec message digest show tick ...
-- REPLY CREATED EXISTS REPLAYED KEY_REUSED POLICY_CHANGED WORKFLOW_GONE SCHEDULE_MOVED THROTTLED
-- include clock timeline audit wake release route waited quota spent commit snapshot schedule begin
local plan = cjson.decode(a_plan)
local refused = known_already(k_run, a_fingerprint ~= '' and k_idempotency, a_fingerprint) or outdated(a_digest, plan.epoch)
if refused then return refused end
local tick = a_tick ~= '' and cjson.decode(a_tick)
if tick and redis.call('HGET', k_schedule, 'version') ~= tick.version then return {'SCHEDULE_MOVED'} end -- guard: schedule_as_seen
local now = clock_now()
local rate = plan.rate and quotas_of(plan.rate)[1]
if rate and must_wait(rate, '0', now) then return {'THROTTLED', string.format('%.0f', room_at(rate) - now)} end -- guard: start_rate
if rate then take_place(rate, plan.run, '', now) end
commit(plan, 8, now)
if tick then go_on(tick.fields, tick.name, tick.due) end
if plan.again then wake(plan.run, now, a_message) end
redis.call('HSET', k_run, 'created_at', string.format('%.0f', now))
if a_fingerprint ~= '' then redis.call('SET', k_idempotency, plan.run .. ' ' .. a_fingerprint, 'EX', a_ttl_sec) end
redis.call('ZADD', k_runs, string.format('%.0f', now), plan.run)
redis.call('ZADD', k_runs_of, string.format('%.0f', now), plan.run)
if a_show == '0' then return {'CREATED', plan.run} end
return {'CREATED', plan.run, snapshot(now), redis.call('HGETALL', k_inputs)}
