-- straight: send the steps that were prepared for this moment when their run began, as a commit would send them. They were foreseen for a
-- run to which nothing happens but this: its version says so, because every other commit moves that on.
-- What is prepared of a step is lines: the steps it needs, job id, topic, priority, the keys `window turns parked ready`, those of the
-- `audit` and its numbers, tenant, two events, then as many facts, pieces of its input and pieces of what its decision is about
-- as a number before each says, and its record (see `release`). Every other piece is a step whose output stands there.
-- MOVES pending>ready
local MOST_ASSEMBLED = 65536

local function lines_of(text)
  local lines = {}
  for line in string.gmatch(text .. '\n', '([^\n]*)\n') do lines[#lines + 1] = line end
  return lines
end

local function counted(lines, at)
  local last = at + tonumber(lines[at])
  return {unpack(lines, at + 1, last)}, last + 1
end

local function all_succeeded(steps)
  local marks = redis.call('HMGET', k_steps, unpack(steps))
  for _, mark in ipairs(marks) do
    if not mark or string.sub(mark, 1, 10) ~= 'succeeded:' then return false end
  end
  return true
end

local function assemble(pieces)
  for i = 2, #pieces, 2 do pieces[i] = redis.call('HGET', k_outputs, pieces[i]) or 'null' end
  return table.concat(pieces)
end

-- nil: its turn has not come; false: nothing is prepared of it.
local function prepared_job(step)
  local text = redis.call('HGET', k_prepared, step)
  if not text then return false end
  local lines = lines_of(text)
  local needs = {}
  for needed in string.gmatch(lines[1], '%S+') do needs[#needs + 1] = needed end
  if not all_succeeded(needs) then return nil end -- guard: needs_succeeded
  local facts, input, request, at
  facts, at = counted(lines, 14)
  input, at = counted(lines, at)
  request, at = counted(lines, at)
  local decision = lines[13]
  if #request > 0 then
    decision = string.sub(decision, 1, -3) .. ',"job_hash":"sha1:' .. redis.sha1hex(assemble(request)) .. '"}}'
  end
  return {
    step = step, id = lines[2], topic = lines[3], priority = tonumber(lines[4]), window = lines[5], turns = lines[6],
    parked = lines[7], ready = lines[8], audit = lines[9], audited = lines[10], tenant = lines[11], told = lines[12],
    decision = decision, facts = facts, input = assemble(input), record = table.concat(lines, '\n', at),
  }
end

local function write_prepared(job, now)
  redis.call('HDEL', k_prepared, job.step)
  redis.call('HSET', k_steps, job.step, 'ready:1')
  redis.call('HSET', k_facts, job.step .. '#ready_at', string.format('%.0f', now), unpack(job.facts))
  if job.input ~= '' then redis.call('HSET', k_inputs, job.step, job.input) end
end

-- As `audit` does, for the tenant that what is prepared names: who records a result does not know it.
local function audit_decision(job, now)
  local number = redis.call('HINCRBY', job.audited, job.tenant, 1)
  redis.call('RPUSH', job.audit, string.format('%.0f %.0f run:%s %s', number, now, a_run_id, job.decision))
end

-- What room there is goes by priority, then by the order of the definition.
local function send_prepared(jobs, now)
  for place, job in ipairs(jobs) do job.place = place end
  table.sort(jobs, function(a, b) return a.priority < b.priority or (a.priority == b.priority and a.place < b.place) end)
  for _, job in ipairs(jobs) do
    set_out(job.id, job.record, job.topic, job.priority, job.window, job.turns, job.parked, job.ready, now, a_minimum)
  end
  for _, job in ipairs(jobs) do release(job.topic, job.window, job.turns, job.parked, now, a_minimum) end
end

-- Whether everything that follows from a success has been done here. `following`: `epoch step …`, all that wait for it.
local function go_straight(following, now)
  local epoch, names = string.match(following, '^(%d+) (.+)$')
  local run = redis.call('HMGET', k_run, 'version', 'prepared')
  if run[1] ~= run[2] then return false end -- guard: run_as_prepared
  if (redis.call('HGET', k_policy, 'epoch') or '0') ~= epoch then return false end -- guard: policy_as_prepared
  local jobs, events, size = {}, {}, 0
  for step in string.gmatch(names, '%S+') do
    local job = prepared_job(step)
    if job == false then return false end
    if job then
      jobs[#jobs + 1] = job
      size = size + #job.input
      events[#events + 1], events[#events + 2] = job.told, job.decision
    end
  end
  -- What is too large is for the planner to say.
  if size > MOST_ASSEMBLED then return false end
  if #jobs == 0 then return true end
  for _, job in ipairs(jobs) do
    write_prepared(job, now)
    audit_decision(job, now)
  end
  tell(k_timeline, now, unpack(events))
  send_prepared(jobs, now)
  local version = string.format('%.0f', tonumber(run[1]) + 1)
  redis.call('HSET', k_run, 'version', version, 'prepared', version, 'updated_at', string.format('%.0f', now))
  count('commits:straight')
  return true
end
