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

local function words_of(line)
  local words = {}
  for word in string.gmatch(line, '%S+') do words[#words + 1] = word end
  return words
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

local outputs = {}

-- What a worker said is put in as it is, so it must be one JSON value: else it could reach beyond its place. nil: it is not.
local function assemble(pieces)
  for i = 2, #pieces, 2 do
    local step = pieces[i]
    if not outputs[step] then
      outputs[step] = redis.call('HGET', k_outputs, step) or 'null'
      if not pcall(cjson.decode, outputs[step]) then return nil end
    end
    pieces[i] = outputs[step]
  end
  return table.concat(pieces)
end

-- nil: its turn has not come; false: nothing is prepared of it, or it cannot be put together here.
local function prepared_job(step)
  local text = redis.call('HGET', k_prepared, step)
  if not text then return false end
  local lines = lines_of(text)
  if not all_succeeded(words_of(lines[1])) then return nil end -- guard: needs_succeeded
  local facts, input, request, at
  facts, at = counted(lines, 14)
  input, at = counted(lines, at)
  request, at = counted(lines, at)
  local decision, given = lines[13], assemble(input)
  if not given then return false end
  if #request > 0 then
    decision = string.sub(decision, 1, -3) .. ',"job_hash":"sha1:' .. redis.sha1hex(assemble(request)) .. '"}}'
  end
  return {
    step = step, id = lines[2], topic = lines[3], priority = tonumber(lines[4]), window = lines[5], turns = lines[6],
    parked = lines[7], ready = lines[8], audit = lines[9], audited = lines[10], tenant = lines[11], told = lines[12],
    decision = decision, facts = facts, input = given, record = table.concat(lines, '\n', at),
  }
end

local function write_prepared(job, now)
  redis.call('HDEL', k_prepared, job.step)
  redis.call('HSET', k_steps, job.step, 'ready:1')
  redis.call('HSET', k_facts, job.step .. '#ready_at', string.format('%.0f', now), unpack(job.facts))
  if job.input ~= '' then redis.call('HSET', k_inputs, job.step, job.input) end
end

-- As `audit` does, for the tenant that what is prepared names: who records a result does not know it.
local function audit_prepared(list, numbers, tenant, events, now)
  local before = redis.call('HINCRBY', numbers, tenant, #events) - #events
  local records = {}
  for i, event in ipairs(events) do records[i] = string.format('%.0f %.0f run:%s %s', before + i, now, a_run_id, event) end
  redis.call('RPUSH', list, unpack(records))
end

-- What room there is goes by priority, then by the order of the definition.
local function send_prepared(jobs, now)
  for place, job in ipairs(jobs) do job.place = place end
  table.sort(jobs, function(a, b) return a.priority < b.priority or (a.priority == b.priority and a.place < b.place) end)
  for _, job in ipairs(jobs) do
    job.waits = set_out(job.id, job.record, job.topic, job.priority, job.window, job.turns, job.parked, job.ready, now, a_minimum)
  end
  for _, job in ipairs(jobs) do
    if job.waits then release(job.topic, job.window, job.turns, job.parked, now, a_minimum) end
  end
end

-- The run ends, if this was the last of its steps: as a commit would end it. What is prepared of that: the steps it needs, the keys
-- `timers open_runs_of ended keepers`, audit and tenant as above, the facts that are spent, one event, counters, and pieces of the output.
local function end_run(version, now)
  local text = redis.call('HGET', k_prepared, '*')
  if not text then return false end
  local lines = lines_of(text)
  if not all_succeeded(words_of(lines[1])) then return true end -- guard: last_succeeded
  local counts, output, at
  counts, at = counted(lines, 11)
  output = assemble(counted(lines, at))
  if not output or #output > MOST_ASSEMBLED then return false end
  local moment = string.format('%.0f', now)
  redis.call('HSET', k_run, 'status', 'succeeded', 'output', output, 'version', string.format('%.0f', version + 1),
    'updated_at', moment, 'completed_at', moment)
  tell(k_timeline, now, lines[10])
  audit_prepared(lines[6], lines[7], lines[8], {lines[10]}, now)
  for i = 1, #counts, 2 do redis.call('HINCRBY', k_stats, counts[i], counts[i + 1]) end
  redis.call('ZADD', lines[4], moment, a_run_id)
  redis.call('ZADD', lines[5], 'NX', moment, lines[8])
  redis.call('SREM', lines[3], a_run_id)
  redis.call('ZREM', lines[2], a_run_id)
  redis.call('DEL', k_prepared)
  drop_spent(words_of(lines[9]))
  count('commits:straight')
  return true
end

-- Whether everything that follows from a success has been done here. `following`: `epoch step …`, all that wait for it.
local function go_straight(following, now)
  local epoch, names = string.match(following, '^(%d+) (.+)$')
  local run = redis.call('HMGET', k_run, 'version', 'prepared')
  if run[1] ~= run[2] then return false end -- guard: run_as_prepared
  if (redis.call('HGET', k_policy, 'epoch') or '0') ~= epoch then return false end -- guard: policy_as_prepared
  if names == '*' then return end_run(tonumber(run[1]), now) end
  local jobs, events, decisions, size = {}, {}, {}, 0
  for step in string.gmatch(names, '%S+') do
    local job = prepared_job(step)
    if job == false then return false end
    if job then
      jobs[#jobs + 1] = job
      size = size + #job.input
      events[#events + 1], events[#events + 2] = job.told, job.decision
      decisions[#decisions + 1] = job.decision
    end
  end
  -- What is too large is for the planner to say.
  if size > MOST_ASSEMBLED then return false end
  if #jobs == 0 then return true end
  for _, job in ipairs(jobs) do write_prepared(job, now) end
  audit_prepared(jobs[1].audit, jobs[1].audited, jobs[1].tenant, decisions, now)
  tell(k_timeline, now, unpack(events))
  send_prepared(jobs, now)
  local version = string.format('%.0f', tonumber(run[1]) + 1)
  redis.call('HSET', k_run, 'version', version, 'prepared', version, 'updated_at', string.format('%.0f', now))
  count('commits:straight')
  return true
end
