-- ahead: the success of a child of a fan-out puts it away and lets the next one begin, as a look would. What all children have alike is
-- prepared once, in the form of a step that goes straight (see `straight`): its first line is what stands for the index in it. For each
-- child the hash of what was decided is kept beside that, and its input with those of all jobs.
-- The fan-out's fact `ahead` is `epoch until counted low most idle ready`: the policy, the first index of which nothing is known, the
-- results that looks have seen, the index at which somebody has to prepare more, how many may be at work, how many are open and are not,
-- and the list in which they wait.
local KEPT = {'sent', 'ready_at', 'begun'}
local DROPPED = {'claim', 'terms', 'alike'}

local function child_job(index)
  local ref = a_fan .. '[' .. index .. ']'
  local alike, digest = unpack(redis.call('HMGET', k_prepared, a_fan, ref))
  if not alike or not digest then return nil end
  local form = form_of(alike, string.sub(alike, 1, string.find(alike, '\n', 1, true) - 1))
  return {
    step = ref, form = form, word = index, id = filled(form.id, index), priority = form.priority,
    decision = with_hash(filled(form.decided, index), digest), input = '',
  }
end

-- How many children begin in place of one that has ended. None while there are enough to fill the topic's window and the line before it is
-- their own: what does not wait costs half as much. Two while there is room for more.
local function beginners(way, active, most, ready)
  if #lines_to_join > 0 then move_on() end
  local line = redis.call('ZRANGE', k_turns, 0, 1)
  if #line == 1 and line[1] == ready and active >= tonumber(redis.call('HGET', k_windows, a_topic) or a_minimum) then return 0 end
  if #line > 0 then return 1 end
  return active + 2 <= most and room_on(way, a_minimum) >= 2 and 2 or 1
end

-- What follows from this child's success; nil: a look has to count it. `alike`: by which policy it began like all others, in no other way.
local function next_of_fan(way)
  local ahead, started, settled, total, results, alike = unpack(redis.call('HMGET', k_facts, a_fan .. '#ahead', a_fan .. '#started',
    a_fan .. '#settled', a_fan .. '#total', a_fan .. '#results', a_step .. '#alike'))
  if not alike or not ahead then return nil end
  local epoch, known, counted_results, low, most, idle, ready = unpack(words_of(ahead))
  if alike ~= epoch or a_attempt ~= '1' then return nil end
  if policy_epoch() ~= epoch then return nil end -- guard: policy_of_children
  local status, version, held = unpack(redis.call('HMGET', k_run, 'status', 'version', 'held'))
  if status == 'paused' then return nil end -- guard: run_goes_on
  -- Somebody's plan was refused because of children that began here: they stop until one has been committed.
  if held == '1' then return nil end
  started, settled, total = tonumber(started), tonumber(settled or '0') + 1, tonumber(total)
  local found, first = {fan = true, version = version, settled = settled, epoch = epoch, jobs = {}}, started
  found.look = settled + tonumber(results or '0') - tonumber(counted_results) >= total
  local last = first < total and math.min(first + beginners(way, first - settled - tonumber(idle), tonumber(most), ready), total) or first
  while started < last do
    local job = started < tonumber(known) and child_job(started)
    if not job then found.look = true break end
    found.jobs[#found.jobs + 1], started = job, started + 1
  end
  if first < tonumber(low) and started >= tonumber(low) then found.look = true end
  found.started = started
  return found
end

-- As `put_away` does with what a commit names; what is kept reads like `archived_text`, and says whose result it was. The answer: marks and
-- facts that are written in place of the child's own.
local function put_child_away(found, moment)
  local fields, kept = {}, {mark = 'succeeded:1', completed_at = moment, recorded = a_nonce}
  for i, fact in ipairs(KEPT) do fields[i] = a_step .. '#' .. fact end
  for i, text in ipairs(redis.call('HMGET', k_facts, unpack(fields))) do kept[KEPT[i]] = text or nil end
  for i, fact in ipairs(DROPPED) do fields[#KEPT + i] = a_step .. '#' .. fact end
  redis.call('HSET', k_children, a_step, cjson.encode(kept))
  redis.call('HDEL', k_steps, a_step)
  redis.call('HDEL', k_facts, unpack(fields))
  local written = {a_fan .. '#started', found.started, a_fan .. '#settled', found.settled}
  for _, job in ipairs(found.jobs) do written[#written + 1], written[#written + 2] = job.step .. '#alike', found.epoch end
  return {}, written
end

local function is_put_away_with(nonce)
  local kept = a_fan ~= '' and redis.call('HGET', k_children, a_step)
  return kept and string.find(kept, '"recorded":"' .. nonce .. '"', 1, true)
end

-- The rest, when the result is written down.
local function go_ahead(found, moment)
  redis.call('HSET', k_run, 'version', string.format('%.0f', found.version + 1), 'updated_at', moment)
  if not found.look then return {'RECORDED'} end
  redis.call('HINCRBY', k_run, 'signals', 1)
  wake(a_run_id, moment, a_message)
  return {'ADVANCE'}
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
