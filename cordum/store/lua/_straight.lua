-- straight: send the steps that were prepared for this moment when their run began, as a commit would send them. They were foreseen for a
-- run to which nothing happens but this: its version says so, because every other commit moves that on.
-- What is prepared of a step is lines: the steps it needs, job id, topic, priority, the keys `window turns parked ready`, those of the
-- `audit` and its numbers, tenant, two events, then as many facts, pieces of its input and pieces of what its decision is about
-- as a number before each says, and its record (see `release`). Every other piece is a step whose output stands there.
-- MOVES pending>ready
local MOST_ASSEMBLED = 65536

local function words_of(line)
  local words = {}
  for word in string.gmatch(line, '%S+') do words[#words + 1] = word end
  return words
end

-- The first and the last of as many lines as this one says.
local function counted(lines, at)
  return at + 1, at + tonumber(lines[at])
end

-- Of the steps that something needs this one has: its own mark is not written yet.
local function all_succeeded(text)
  local line = string.sub(text, 1, string.find(text, '\n', 1, true) - 1)
  if line == a_step then return true end
  local steps = words_of(line)
  for i, mark in ipairs(redis.call('HMGET', k_steps, unpack(steps))) do
    if steps[i] ~= a_step and (not mark or string.sub(mark, 1, 10) ~= 'succeeded:') then return false end
  end
  return true
end

-- What a worker said is put in as it is, so it must be one JSON value: else it could reach beyond its place. nil: it is not.
local function output_of(step, known)
  if not known[step] then
    local said = step == a_step and a_output or redis.call('HGET', k_outputs, step) or 'null'
    if not pcall(cjson.decode, said) then return nil end
    known[step] = said
  end
  return known[step]
end

-- `known`: the outputs that this result has asked for already.
local function assemble(lines, first, last, known)
  for i = first + 1, last, 2 do
    lines[i] = output_of(lines[i], known)
    if not lines[i] then return nil end
  end
  return table.concat(lines, '', first, last)
end

-- nil: its turn has not come; false: nothing is prepared of it (no `text`), or it cannot be put together here.
local function prepared_job(step, text, known)
  if not text then return false end
  if not all_succeeded(text) then return nil end -- guard: needs_succeeded
  local lines = lines_of(text)
  local facts, last_fact = counted(lines, 14)
  local piece, last_piece = counted(lines, last_fact + 1)
  local given = assemble(lines, piece, last_piece, known)
  if not given then return false end
  local asked, last_asked = counted(lines, last_piece + 1)
  local decision = lines[13]
  if last_asked >= asked then
    decision = string.sub(decision, 1, -3) .. ',"job_hash":"sha1:' .. redis.sha1hex(assemble(lines, asked, last_asked, known)) .. '"}}'
  end
  return {
    step = step, id = lines[2], topic = lines[3], priority = tonumber(lines[4]), window = lines[5], turns = lines[6], parked = lines[7],
    lines = lines, decision = decision, facts = facts, last_fact = last_fact, input = given, record = last_asked + 1,
  }
end

-- How the run ends, if this was the last of its steps. What is prepared of that: the steps it needs, the keys `timers open_runs_of ended
-- keepers`, audit and tenant as above, the facts that are spent and whose, one event, counters, and pieces of the output.
local function prepared_end(version)
  local text = redis.call('HGET', k_prepared, '*')
  if not text then return nil end
  if not all_succeeded(text) then return {version = version, jobs = {}} end -- guard: last_succeeded
  local lines = lines_of(text)
  local output = assemble(lines, 13, #lines, {})
  if not output or #output > MOST_ASSEMBLED then return nil end
  return {version = version, jobs = {}, ending = lines, output = output}
end

-- All that follows from this success; nil: somebody has to look. `following`: `epoch step …`, all that wait for it.
local function foreseen(following)
  local epoch, names = string.match(following, '^(%d+) (.+)$')
  local version, prepared = unpack(redis.call('HMGET', k_run, 'version', 'prepared'))
  if version ~= prepared then return nil end -- guard: run_as_prepared
  if policy_epoch() ~= epoch then return nil end -- guard: policy_as_prepared
  if names == '*' then return prepared_end(version) end
  local jobs, size, known, steps = {}, 0, {}, words_of(names)
  for i, text in ipairs(redis.call('HMGET', k_prepared, unpack(steps))) do
    local job = prepared_job(steps[i], text, known)
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

-- What room there is goes by priority, then by the order of the definition. What these jobs have in marks, facts and events is added to
-- what the result itself has.
local function set_out_prepared(jobs, marks, facts, events, moment)
  local steps, inputs, decisions = {}, {}, {}
  for place, job in ipairs(jobs) do
    job.place, steps[place], decisions[place] = place, job.step, job.decision
    if job.input ~= '' then inputs[#inputs + 1], inputs[#inputs + 2] = job.step, job.input end
    facts[#facts + 1], facts[#facts + 2] = job.step .. '#ready_at', moment
    for i = job.facts, job.last_fact do facts[#facts + 1] = job.lines[i] end
    events[#events + 1], events[#events + 2] = job.lines[12], job.decision
  end
  redis.call('HDEL', k_prepared, unpack(steps))
  if #inputs > 0 then redis.call('HSET', k_inputs, unpack(inputs)) end
  local first = jobs[1].lines
  audit_afterwards(first[9], first[10], first[11], 'run:' .. a_run_id .. ' ', decisions)
  if #jobs > 1 then
    table.sort(jobs, function(a, b) return a.priority < b.priority or (a.priority == b.priority and a.place < b.place) end)
  end
  for _, job in ipairs(jobs) do
    local lines, last = job.lines, #job.lines
    local way = way_of(job.topic, job.window, job.turns, job.parked)
    job.sent = set_out_afterwards(job.id, way, lines[last - 2], lines[last - 3], lines[last], table.concat(lines, '\n', job.record), job.priority, lines[8],
      moment, a_minimum)
    if job.sent then events[#events + 1] = lines[last - 1] end
    marks[#marks + 1], marks[#marks + 2] = job.step, job.sent and 'queued:1' or 'ready:1'
  end
end

-- As a commit would end the run.
local function end_run(found, version, moment)
  local lines = found.ending
  redis.call('HSET', k_run, 'status', 'succeeded', 'output', found.output, 'version', version, 'updated_at', moment, 'completed_at', moment)
  audit_afterwards(lines[6], lines[7], lines[8], 'run:' .. a_run_id .. ' ', {lines[11]})
  redis.call('ZADD', lines[4], moment, a_run_id)
  redis.call('ZADD', lines[5], 'NX', moment, lines[8])
  redis.call('SREM', lines[3], a_run_id)
  redis.call('ZREM', lines[2], a_run_id)
  redis.call('DEL', k_prepared)
  drop_spent(words_of(lines[9]), words_of(lines[10]))
end

-- The rest of what was foreseen, when the result is written down.
local function go_straight(found, moment)
  local version = string.format('%.0f', found.version + 1)
  if found.ending then return end_run(found, version, moment) end
  redis.call('HSET', k_run, 'version', version, 'prepared', version, 'updated_at', moment)
end
