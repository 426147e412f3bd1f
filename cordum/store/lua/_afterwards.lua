-- afterwards: what several results of one call leave to be done is done once, when all are written down: jobs leave the windows of their
-- topics and others come into them or into line, free places are given away, the audit and the counters go on.
local ways, lines_to_join, no_more_held, audited, counted = {}, {}, {}, {}, {}

-- An entry of these that is known by this key; made if there is none yet.
local function entry_of(entries, key, made)
  if not entries[key] then entries[#entries + 1], entries[key] = made, made end
  return entries[key]
end

-- Where jobs of one topic go: what room there will be, whether any are in line, who leaves, who comes and by which lists.
local function way_of(topic, window, turns, parked)
  return ways[turns] or entry_of(ways, turns, {topic = topic, window = window, turns = turns, parked = parked, left = {}, come = {}, lists = {}})
end

local function room_on(way, minimum)
  if not way.room then way.room = room(way.topic, way.window, minimum) + #way.left end
  return way.room
end

-- It gives its place away, and is not held by its worker any more.
local function leave_afterwards(way, job_id)
  way.left[#way.left + 1], no_more_held[#no_more_held + 1] = job_id, job_id
  if way.room then way.room = way.room + 1 end
  way.freed = true
end

-- A text in which `word` stands between the pieces, or as it is.
local function filled(text, word)
  return type(text) == 'string' and text or table.concat(text, word)
end

-- As `set_out` does with a job whose mark and events are the caller's; whether it goes at once. `form`: see `straight`.
local function set_out_afterwards(job_id, way, form, word, moment, minimum)
  if way.in_line == nil then way.in_line = redis.call('EXISTS', way.turns) == 1 end
  if not way.in_line and room_on(way, minimum) > 0 then
    local entry = entry_of(way.lists, form.list, {name = form.list, sent = form.sent, members = {}, messages = {}})
    way.come[#way.come + 1], way.room, entry.messages[#entry.messages + 1] = job_id, way.room - 1, filled(form.message, word)
    entry.members[#entry.members + 1], entry.members[#entry.members + 2] = moment, job_id
    return true
  end
  way.in_line, way.freed = true, true
  local line = entry_of(lines_to_join, form.ready, {ready = form.ready, priority = form.priority, way = way, jobs = {}, records = {}})
  line.jobs[#line.jobs + 1] = job_id
  line.records[#line.records + 1], line.records[#line.records + 2] = job_id, filled(form.record, word)
  return false
end

-- From here on all of that is as Redis says, and has to be asked for anew.
local function move_on()
  if #no_more_held > 0 then redis.call('SREM', k_held, unpack(no_more_held)) end
  for _, way in ipairs(ways) do
    if #way.left > 0 then redis.call('SREM', way.window, unpack(way.left)) end
    if #way.come > 0 then redis.call('SADD', way.window, unpack(way.come)) end
    for _, list in ipairs(way.lists) do send_list(list) end
    way.left, way.come, way.lists, way.room, way.in_line = {}, {}, {}, nil, nil
  end
  for _, line in ipairs(lines_to_join) do
    redis.call('HSET', line.way.parked, unpack(line.records))
    enter_turns(line.way.turns, line.ready, line.priority, redis.call('LPUSH', line.ready, unpack(line.jobs)) == #line.jobs)
  end
  lines_to_join, no_more_held = {}, {}
end

-- For the tenant that what is prepared names: who records a result does not know it.
local function audit_afterwards(list, numbers, tenant, subject, events)
  local entry = entry_of(audited, list, {list = list, numbers = numbers, tenant = tenant, records = {}})
  for _, event in ipairs(events) do entry.records[#entry.records + 1] = subject .. event end
end

local function count(what)
  local entry = entry_of(counted, what, {what = what, times = 0})
  entry.times = entry.times + 1
end

local function finish(moment, minimum)
  move_on()
  for _, way in ipairs(ways) do
    if way.freed then release(way.topic, way.window, way.turns, way.parked, moment, minimum) end
  end
  for _, entry in ipairs(audited) do
    local records = entry.records
    local before = redis.call('HINCRBY', entry.numbers, entry.tenant, #records) - #records
    for i, record in ipairs(records) do records[i] = before + i .. ' ' .. moment .. ' ' .. record end
    redis.call('RPUSH', entry.list, unpack(records))
  end
  for _, entry in ipairs(counted) do redis.call('HINCRBY', k_stats, entry.what, entry.times) end
end
