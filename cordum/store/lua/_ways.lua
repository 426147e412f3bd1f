-- ways: jobs that one call sets out together leave the windows of their topics and come into them, or into line, with few commands.
local ways, lines_to_join = {}, {}

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
  if not way.room then
    way.room, way.width = room(way.topic, way.window, minimum)
    way.room = way.room + #way.left
  end
  return way.room, way.width
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
  for _, way in ipairs(ways) do
    if #way.left > 0 then redis.call('SREM', way.window, unpack(way.left)) end
    if #way.come > 0 then redis.call('SADD', way.window, unpack(way.come)) end
    for _, list in ipairs(way.lists) do send_list(list) end
    way.left, way.come, way.lists, way.room, way.in_line = {}, {}, {}, nil, nil
  end
  for _, line in ipairs(lines_to_join) do
    local was_empty = redis.call('EXISTS', line.ready) == 0
    for first = 1, #line.jobs, 1000 do
      local last = math.min(first + 999, #line.jobs)
      redis.call('HSET', line.way.parked, unpack(line.records, 2 * first - 1, 2 * last))
      redis.call('LPUSH', line.ready, unpack(line.jobs, first, last))
    end
    enter_turns(line.way.turns, line.ready, line.priority, was_empty)
  end
  lines_to_join = {}
end

-- Free places are given to those in line.
local function serve_lines(moment, minimum)
  move_on()
  for _, way in ipairs(ways) do
    if way.freed then release(way.topic, way.window, way.turns, way.parked, moment, minimum) end
  end
end
