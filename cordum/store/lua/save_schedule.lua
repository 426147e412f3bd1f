-- save_schedule: keep a schedule as it is from now on, unless it has changed since the caller looked; `expected` is empty where there was none.
-- KEYS schedule schedules schedules_due clock audit audited
-- ARGV id name expected version due tenant event ...
-- REPLY SAVED MOVED
-- include clock schedule audit
local version = redis.call('HGET', k_schedule, 'version') or ''
-- The reply of an earlier call was lost.
if version == a_version then return {'SAVED'} end
if version ~= a_expected then return {'MOVED'} end -- guard: schedule_as_seen
local fields = {'version', a_version}
for i = 8, #ARGV do fields[#fields + 1] = ARGV[i] end
go_on(fields, a_name, a_due)
redis.call('SADD', k_schedules, a_id)
-- What a tick moves on is nobody's doing.
if a_event ~= '' then audit(a_tenant, clock_now(), 'schedule:' .. a_id, {a_event}) end
return {'SAVED'}
