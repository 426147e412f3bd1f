-- ahead: the success of a child of a fan-out puts it away and lets the next one begin, as a look would. What all children have alike is
-- prepared once, in the form of a step that goes straight (see `straight`): its first line is what stands for the index in it. For each
-- child the hash of what was decided is kept beside that, and its input with those of all jobs.
-- The fan-out's fact `ahead` is `epoch until counted low most idle ready`: the policy, the first index of which nothing is known, the
-- results that looks have seen, the index at which somebody has to prepare more, how many may be at work, how many are open and are not,
-- and the list in which they wait.
-- Several children that end in one call are counted here first, and written down together.
local fans = {}

local function fan_now()
  local key = k_run .. ' ' .. a_fan
  if fans[key] then return fans[key] end
  local ahead, started, settled, total, results = unpack(redis.call('HMGET', k_facts, a_fan .. '#ahead', a_fan .. '#started',
    a_fan .. '#settled', a_fan .. '#total', a_fan .. '#results'))
  if not ahead then return nil end
  local status, version, held = unpack(redis.call('HMGET', k_run, 'status', 'version', 'held'))
  local fan = entry_of(fans, key, {
    name = a_fan, run = k_run, steps = k_steps, facts = k_facts, children = k_children, outputs = k_outputs, prepared = k_prepared, timeline = k_timeline,
    status = status, version = version, held = held, total = tonumber(total), results = tonumber(results or '0'), started = tonumber(started),
    settled = tonumber(settled or '0'), nonces = {}, kept = {}, said = {}, gone = {}, spent = {}, used = {}, marks = {}, written = {}, events = {},
  })
  fan.epoch, fan.known, fan.counted, fan.low, fan.most, fan.idle, fan.ready = unpack(words_of(ahead))
  for _, name in ipairs({'known', 'counted', 'low', 'most', 'idle'}) do fan[name] = tonumber(fan[name]) end
  return fan
end

-- From here on all of that is as Redis says.
local function write_fans(moment)
  for _, fan in ipairs(fans) do
    if #fan.gone > 0 then
      redis.call('HSET', fan.outputs, unpack(fan.said))
      redis.call('HSET', fan.children, unpack(fan.kept))
      redis.call('HDEL', fan.facts, unpack(fan.spent))
      redis.call('HSET', fan.facts, fan.name .. '#started', fan.started, fan.name .. '#settled', fan.settled, unpack(fan.written))
      redis.call('HDEL', fan.steps, unpack(fan.gone))
      if #fan.marks > 0 then
        redis.call('HDEL', fan.prepared, unpack(fan.used))
        redis.call('HSET', fan.steps, unpack(fan.marks))
      end
      redis.call('HSET', fan.run, 'version', string.format('%.0f', fan.version), 'updated_at', moment)
      tell(fan.timeline, moment, unpack(fan.events))
    end
  end
  fans = {}
end

local function child_job(fan, index)
  local ref = a_fan .. '[' .. index .. ']'
  fan.alike = fan.alike or redis.call('HGET', k_prepared, a_fan)
  local alike, digest = fan.alike, redis.call('HGET', k_prepared, ref)
  if not alike or not digest then return nil end
  local form = form_of(alike, string.sub(alike, 1, string.find(alike, '\n', 1, true) - 1))
  return {
    step = ref, form = form, word = index, id = filled(form.id, index), priority = form.priority, shared = true,
    decision = with_hash(filled(form.decided, index), digest), input = '',
  }
end

-- How many children begin in place of one that has ended. None while there are enough to fill the topic's window and the line before it is
-- their own: what does not wait costs half as much. Two while there is room for more.
local function beginners(fan, way, active)
  if not fan.line then
    if #lines_to_join > 0 then move_on() end
    fan.line = redis.call('ZRANGE', k_turns, 0, 1)
  end
  local left, width = room_on(way, a_minimum)
  if #fan.line == 1 and fan.line[1] == fan.ready and active >= width then return 0 end
  if #fan.line > 0 or way.in_line then return 1 end
  return active + 2 <= fan.most and left >= 2 and 2 or 1
end

-- What follows from this child's success; nil: a look has to count it. `alike`: by which policy it began like all others, in no other way.
local function next_of_fan(way, alike)
  local fan = alike and a_attempt == '1' and fan_now()
  if not fan or alike ~= fan.epoch then return nil end
  if policy_epoch() ~= fan.epoch then return nil end -- guard: policy_of_children
  if fan.status == 'paused' then return nil end -- guard: run_goes_on
  -- Somebody's plan was refused because of children that began here: they stop until one has been committed.
  if fan.held == '1' then return nil end
  local found, first, started, settled = {fan = fan, jobs = {}}, fan.started, fan.started, fan.settled + 1
  found.look = settled + fan.results - fan.counted >= fan.total
  local last = first < fan.total and math.min(first + beginners(fan, way, first - settled - fan.idle), fan.total) or first
  while started < last do
    local job = started < fan.known and child_job(fan, started)
    if not job then found.look = true break end
    found.jobs[#found.jobs + 1], started = job, started + 1
  end
  if first < fan.low and started >= fan.low then found.look = true end
  return found
end

-- The child is put away, as `put_away` does with what a commit names, and others begin; what is kept reads like `archived_text`, and says
-- whose result it was.
local function go_ahead(found, events, sent, ready_at, begun, moment)
  local fan, n = found.fan, #found.fan.gone + 1
  local kept = {
    mark = 'succeeded:1', sent = sent or nil, ready_at = ready_at or nil, begun = begun or nil, completed_at = moment, recorded = a_nonce,
  }
  fan.nonces[a_step], fan.gone[n] = a_nonce, a_step
  fan.kept[2 * n - 1], fan.kept[2 * n] = a_step, cjson.encode(kept)
  fan.said[2 * n - 1], fan.said[2 * n] = a_step, a_output
  for _, fact in ipairs({'sent', 'ready_at', 'begun', 'claim', 'terms', 'alike'}) do fan.spent[#fan.spent + 1] = a_step .. '#' .. fact end
  for _, event in ipairs(events) do fan.events[#fan.events + 1] = event end
  if #found.jobs > 0 then
    set_out_prepared(found.jobs, fan.marks, fan.written, fan.events, moment)
    for _, job in ipairs(found.jobs) do
      fan.used[#fan.used + 1] = job.step
      fan.written[#fan.written + 1], fan.written[#fan.written + 2] = job.step .. '#alike', fan.epoch
      if not job.sent and #fan.line == 0 then fan.line = {fan.ready} end
    end
  end
  fan.started, fan.settled, fan.version = fan.started + #found.jobs, fan.settled + 1, fan.version + 1
  if not found.look then return {'RECORDED'} end
  redis.call('HINCRBY', k_run, 'signals', 1)
  wake(a_run_id, moment, a_message)
  return {'ADVANCE'}
end

-- Whether it is a child of a fan-out of which others have just ended; whether it is one of those, by this claim.
local function is_counted_here()
  return a_fan ~= '' and fans[k_run .. ' ' .. a_fan]
end

local function is_put_away_here(nonce)
  local fan = is_counted_here()
  return fan and fan.nonces[a_step] == nonce
end

local function is_put_away_with(nonce)
  local kept = a_fan ~= '' and redis.call('HGET', k_children, a_step)
  return kept and string.find(kept, '"recorded":"' .. nonce .. '"', 1, true)
end

-- Whether somebody has to look at a success that a look has to count: so many have come, or all there will be.
local function has_enough()
  local results = redis.call('HINCRBY', k_facts, a_fan .. '#results', 1)
  local wake_after, ahead, settled, total = unpack(redis.call('HMGET', k_facts, a_fan .. '#wake_after', a_fan .. '#ahead',
    a_fan .. '#settled', a_fan .. '#total'))
  if not wake_after or results >= tonumber(wake_after) then return true end
  local seen = ahead and string.match(ahead, '^%d+ %d+ (%d+) ')
  return seen and tonumber(settled or '0') + results - tonumber(seen) >= tonumber(total)
end
