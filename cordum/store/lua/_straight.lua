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

-- What a line says with another word for `mark`: its pieces, or the line as it is.
local function pieces_of(line, mark)
  local first, last = string.find(line, mark, 1, true)
  if not first then return line end
  local pieces, from = {}, 1
  while first do
    pieces[#pieces + 1], from = string.sub(line, from, first - 1), last + 1
    first, last = string.find(line, mark, from, true)
  end
  pieces[#pieces + 1] = string.sub(line, from)
  return pieces
end

local function all_pieces(lines, first, last, mark)
  local found = {}
  for i = first, last do found[#found + 1] = mark and pieces_of(lines[i], mark) or lines[i] end
  return found
end

-- What is prepared of a step, taken apart; several steps that differ in what stands at `mark` have one form.
local forms = {}
local function form_of(text, mark)
  if forms[text] then return forms[text] end
  local lines = lines_of(text)
  local last = #lines
  local facts, last_fact = counted(lines, 14)
  local given, last_given = counted(lines, last_fact + 1)
  local asked, last_asked = counted(lines, last_given + 1)
  local own = all_pieces({
    lines[2], lines[12], lines[13], lines[last - 1], lines[last], table.concat(lines, '\n', last_asked + 1),
  }, 1, 6, mark)
  forms[text] = {
    needs = lines[1], id = own[1], topic = lines[3], priority = tonumber(lines[4]), window = lines[5], turns = lines[6], parked = lines[7],
    ready = lines[8], audit = lines[9], audited = lines[10], tenant = lines[11], told = own[2], decided = own[3], queued = own[4],
    message = own[5], record = own[6], list = lines[last - 3], sent = lines[last - 2], facts = all_pieces(lines, facts, last_fact, mark),
    given = all_pieces(lines, given, last_given, mark), asked = all_pieces(lines, asked, last_asked, mark),
  }
  return forms[text]
end

-- Of the steps that something needs this one has: its own mark is not written yet.
local function all_succeeded(needs)
  if needs == a_step then return true end
  local steps = words_of(needs)
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

-- Every other part is a step. `known`: the outputs that this result has asked for already.
local function assemble(parts, word, known)
  local said = {}
  for i, part in ipairs(parts) do
    said[i] = i % 2 == 1 and filled(part, word) or output_of(part, known)
    if not said[i] then return nil end
  end
  return table.concat(said)
end

-- The decision with the hash of what was decided.
local function with_hash(decided, hash)
  return string.sub(decided, 1, -3) .. ',"job_hash":"' .. hash .. '"}}'
end

-- nil: its turn has not come; false: nothing is prepared of it (no `text`), or it cannot be put together here.
local function prepared_job(step, text, mark, known)
  if not text then return false end
  local form = form_of(text, mark)
  if not all_succeeded(form.needs) then return nil end -- guard: needs_succeeded
  local word = mark and a_run_id
  local given = assemble(form.given, word, known)
  if not given then return false end
  local decided = filled(form.decided, word)
  if #form.asked > 0 then decided = with_hash(decided, 'sha1:' .. redis.sha1hex(assemble(form.asked, word, known))) end
  return {step = step, form = form, word = word, shared = mark, id = filled(form.id, word), priority = form.priority, decision = decided, input = given}
end

-- How the run ends, if this was the last of its steps. What is prepared of that: the steps it needs, the keys `timers open_runs_of ended
-- keepers`, audit and tenant as above, the facts that are spent and whose, one event, counters, and pieces of the output.
local function prepared_end(version, text, mark)
  if not text then return nil end
  if not forms[text] then
    local lines = lines_of(text)
    forms[text] = {
      needs = lines[1], timers = lines[2], open_runs = lines[3], ended = lines[4], keepers = lines[5], audit = lines[6], audited = lines[7],
      tenant = lines[8], spent = spent_fields(words_of(lines[9]), words_of(lines[10])), told = lines[11], counted = lines[12],
      output = all_pieces(lines, 13, #lines, mark),
    }
  end
  local form = forms[text]
  if not all_succeeded(form.needs) then return {version = version, jobs = {}} end -- guard: last_succeeded
  local output = assemble(form.output, a_run_id, {})
  if not output or #output > MOST_ASSEMBLED then return nil end
  return {version = version, jobs = {}, ending = form, shared = mark, output = output}
end

-- What is prepared of these steps; and what stands for the run's id in it, of those that the run has in common with others that began
-- like it. `template`: where that is kept, after a `+` if there is more of the run's own. It is forgotten in the end: then somebody looks.
local shared = {}
local function texts_of(steps, template)
  local own = not template or template == '' or string.sub(template, 1, 1) == '+'
  local texts, marks = own and redis.call('HMGET', k_prepared, unpack(steps)) or {}, {}
  if not template or template == '' then return texts, marks end
  local entry = template .. ' ' .. table.concat(steps, ' ')
  shared[entry] = shared[entry] or redis.call('HMGET', a_templates .. string.match(template, '%w+'), '', unpack(steps))
  for i = 1, #steps do
    if not texts[i] then texts[i], marks[i] = shared[entry][i + 1], shared[entry][1] end
  end
  return texts, marks
end

-- All that follows from this success; nil: somebody has to look. `following`: `epoch step …`, all that wait for it.
local function foreseen(following)
  local epoch, names = string.match(following, '^(%d+) (.+)$')
  local version, prepared, template = unpack(redis.call('HMGET', k_run, 'version', 'prepared', 'template'))
  if version ~= prepared then return nil end -- guard: run_as_prepared
  if policy_epoch() ~= epoch then return nil end -- guard: policy_as_prepared
  local jobs, size, known, steps = {}, 0, {}, words_of(names)
  local texts, marks = texts_of(steps, template)
  if names == '*' then return prepared_end(version, texts[1], marks[1]) end
  for i, text in ipairs(texts) do
    local job = prepared_job(steps[i], text, marks[i], known)
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
  local own, inputs, decisions = {}, {}, {}
  for place, job in ipairs(jobs) do
    job.place, decisions[place] = place, job.decision
    if not job.shared then own[#own + 1] = job.step end
    if job.input ~= '' then inputs[#inputs + 1], inputs[#inputs + 2] = job.step, job.input end
    facts[#facts + 1], facts[#facts + 2] = job.step .. '#ready_at', moment
    for _, part in ipairs(job.form.facts) do facts[#facts + 1] = filled(part, job.word) end
    events[#events + 1], events[#events + 2] = filled(job.form.told, job.word), job.decision
  end
  if #own > 0 then redis.call('HDEL', k_prepared, unpack(own)) end
  if #inputs > 0 then redis.call('HSET', k_inputs, unpack(inputs)) end
  local first = jobs[1].form
  audit_afterwards(first.audit, first.audited, first.tenant, 'run:' .. a_run_id .. ' ', decisions)
  if #jobs > 1 then
    table.sort(jobs, function(a, b) return a.priority < b.priority or (a.priority == b.priority and a.place < b.place) end)
  end
  for _, job in ipairs(jobs) do
    local form = job.form
    job.sent = set_out_afterwards(job.id, way_of(form.topic, form.window, form.turns, form.parked), form, job.word, moment, a_minimum)
    if job.sent then events[#events + 1] = filled(form.queued, job.word) end
    marks[#marks + 1], marks[#marks + 2] = job.step, job.sent and 'queued:1' or 'ready:1'
  end
end

-- As a commit would end the run.
local function end_run(found, version, moment)
  local form = found.ending
  redis.call('HSET', k_run, 'status', 'succeeded', 'output', found.output, 'version', version, 'updated_at', moment, 'completed_at', moment)
  audit_afterwards(form.audit, form.audited, form.tenant, 'run:' .. a_run_id .. ' ', {form.told})
  redis.call('ZADD', form.ended, moment, a_run_id)
  redis.call('ZADD', form.keepers, 'NX', moment, form.tenant)
  redis.call('SREM', form.open_runs, a_run_id)
  redis.call('ZREM', form.timers, a_run_id)
  if not found.shared then redis.call('DEL', k_prepared) end
  drop_spent(form.spent)
end

-- The rest of what was foreseen, when the result is written down.
local function go_straight(found, moment)
  local version = string.format('%.0f', found.version + 1)
  if found.ending then return end_run(found, version, moment) end
  redis.call('HSET', k_run, 'version', version, 'prepared', version, 'updated_at', moment)
end
