-- straight: send the steps that were prepared for this moment when their run began, as a commit would send them. They were foreseen for a
-- run to which nothing happens but this: its version says so, because every other commit moves that on.
-- What is prepared of a step is a line, the steps it needs, and behind it, packed: job id, topic, priority, the keys `window turns parked
-- ready`, those of the `audit` and its numbers, tenant, two events, facts, pieces of its input and of what its decision is about (every
-- other piece is a step whose output stands there), and its record (see `release`): all before the list, and the rest one by one.
-- Ids, events and records are taken apart where the id of the run stands.
-- MOVES pending>ready
local MOST_ASSEMBLED = 65536

local function whole(text)
  return type(text) == 'table' and table.concat(text, a_run_id) or text
end

-- Of the steps that something needs this one has: its own mark is not written yet.
local function all_succeeded(line)
  if line == a_step then return true end
  local steps = {}
  for step in string.gmatch(line, '%S+') do steps[#steps + 1] = step end
  for i, mark in ipairs(redis.call('HMGET', k_steps, unpack(steps))) do
    if steps[i] ~= a_step and (not mark or string.sub(mark, 1, 10) ~= 'succeeded:') then return false end
  end
  return true
end

local outputs = {}

-- What a worker said is put in as it is, so it must be one JSON value: else it could reach beyond its place. nil: it is not.
local function output_of(step)
  if not outputs[step] then
    local said = step == a_step and a_output or redis.call('HGET', k_outputs, step) or 'null'
    if not pcall(cjson.decode, said) then return nil end
    outputs[step] = said
  end
  return outputs[step]
end

local function assemble(pieces)
  for i = 2, #pieces, 2 do
    pieces[i] = output_of(pieces[i])
    if not pieces[i] then return nil end
  end
  return table.concat(pieces)
end

-- nil: its turn has not come; false: nothing is prepared of it, or it cannot be put together here.
local function prepared_job(step)
  local text = redis.call('HGET', k_prepared, step)
  if not text then return false end
  local stop = string.find(text, '\n', 1, true)
  if not all_succeeded(string.sub(text, 1, stop - 1)) then return nil end -- guard: needs_succeeded
  local job = cmsgpack.unpack(string.sub(text, stop + 1))
  job.step, job.priority, job.input = step, tonumber(job[3]), assemble(job[14])
  if not job.input then return false end
  job.decision = whole(job[12])
  if job[15][1] then
    job.decision = string.sub(job.decision, 1, -3) .. ',"job_hash":"sha1:' .. redis.sha1hex(assemble(job[15])) .. '"}}'
  end
  return job
end

-- How the run ends, if this was the last of its steps. What is prepared of that: the steps it needs, the keys `timers open_runs_of ended
-- keepers`, audit and tenant as above, the facts that are spent, one event, counters, and pieces of the output.
local function prepared_end(version)
  local text = redis.call('HGET', k_prepared, '*')
  if not text then return nil end
  local stop = string.find(text, '\n', 1, true)
  if not all_succeeded(string.sub(text, 1, stop - 1)) then return {version = version, jobs = {}} end -- guard: last_succeeded
  local ending = cmsgpack.unpack(string.sub(text, stop + 1))
  local output = assemble(ending[11])
  if not output or #output > MOST_ASSEMBLED then return nil end
  return {version = version, jobs = {}, ending = ending, event = whole(ending[9]), output = output}
end

-- All that follows from this success; nil: somebody has to look. `following`: `epoch step …`, all that wait for it.
local function foreseen(following)
  local epoch, names = string.match(following, '^(%d+) (.+)$')
  local version, prepared = unpack(redis.call('HMGET', k_run, 'version', 'prepared'))
  if version ~= prepared then return nil end -- guard: run_as_prepared
  if (redis.call('HGET', k_policy, 'epoch') or '0') ~= epoch then return nil end -- guard: policy_as_prepared
  if names == '*' then return prepared_end(version) end
  local jobs, size = {}, 0
  for step in string.gmatch(names, '%S+') do
    local job = prepared_job(step)
    if job == false then return nil end
    if job then
      jobs[#jobs + 1] = job
      size = size + #job.input
    end
  end
  -- What is too large is for the planner to say.
  if size > MOST_ASSEMBLED then return nil end
  return {version = version, jobs = jobs}
end

-- As `audit` does, for the tenant that what is prepared names: who records a result does not know it.
local function audit_prepared(list, numbers, tenant, events, moment)
  local before = redis.call('HINCRBY', numbers, tenant, #events) - #events
  local subject, records = ' ' .. moment .. ' run:' .. a_run_id .. ' ', {}
  for i, event in ipairs(events) do records[i] = before + i .. subject .. event end
  redis.call('RPUSH', list, unpack(records))
end

-- What room there is goes by priority, then by the order of the definition. What these jobs have in marks, facts and events is added to
-- what the result itself has.
local function set_out_prepared(jobs, marks, facts, events, moment)
  local steps, inputs, decisions, first = {}, {}, {}, jobs[1]
  local fact, told = #facts, #events
  for place, job in ipairs(jobs) do
    job.place, steps[place], decisions[place] = place, job.step, job.decision
    if job.input ~= '' then inputs[#inputs + 1], inputs[#inputs + 2] = job.step, job.input end
    facts[fact + 1], facts[fact + 2] = job.step .. '#ready_at', moment
    fact = fact + 2
    for i = 1, #job[13] do facts[fact + i] = job[13][i] end
    fact = fact + #job[13]
    events[told + 1], events[told + 2] = whole(job[11]), job.decision
    told = told + 2
  end
  redis.call('HDEL', k_prepared, unpack(steps))
  if inputs[1] then redis.call('HSET', k_inputs, unpack(inputs)) end
  audit_prepared(first[8], first[9], first[10], decisions, moment)
  if jobs[2] then
    table.sort(jobs, function(a, b) return a.priority < b.priority or (a.priority == b.priority and a.place < b.place) end)
  end
  for i, job in ipairs(jobs) do
    local job_id, topic, window, turns = whole(job[1]), job[2], job[4], job[5]
    local list, sent, event, message = job[17], job[18], whole(job[19]), whole(job[20])
    job.sent = may_go(topic, turns, window, a_minimum)
    if job.sent then
      dispatch(job_id, window, sent, list, message, moment)
      told = told + 1
      events[told] = event
    else
      wait_in_line(job_id, table.concat({whole(job[16]), list, sent, event, message}, '\n'), job.priority, turns, job[6], job[7])
    end
    marks[2 * i + 1], marks[2 * i + 2] = job.step, job.sent and 'queued:1' or 'ready:1'
  end
end

-- As a commit would end the run.
local function end_run(found, version, moment)
  local ending = found.ending
  redis.call('HSET', k_run, 'status', 'succeeded', 'output', found.output, 'version', version, 'updated_at', moment, 'completed_at', moment)
  audit_prepared(ending[5], ending[6], ending[7], {found.event}, moment)
  redis.call('ZADD', ending[3], moment, a_run_id)
  redis.call('ZADD', ending[4], 'NX', moment, ending[7])
  redis.call('SREM', ending[2], a_run_id)
  redis.call('ZREM', ending[1], a_run_id)
  redis.call('DEL', k_prepared)
  redis.call('HDEL', k_facts, unpack(ending[8]))
end

-- The rest of what was foreseen, when the result is written down.
local function go_straight(found, moment)
  local version = string.format('%.0f', found.version + 1)
  if found.ending then return end_run(found, version, moment) end
  redis.call('HSET', k_run, 'version', version, 'prepared', version, 'updated_at', moment)
  for _, job in ipairs(found.jobs) do
    if not job.sent then release(job[2], job[4], job[5], job[6], moment, a_minimum) end
  end
end
