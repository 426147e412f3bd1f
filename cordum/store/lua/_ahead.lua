-- ahead: the success of a child of a fan-out puts it away and lets the next one begin, as a look would. What all children have alike is
-- prepared once, as lines: what stands for the index in them; the record (see `release`); job id, topic, priority, the keys
-- `window turns parked ready`, those of the `audit` and its numbers, tenant, the events that it is ready and what was decided; facts.
-- For each child the hash of what was decided is kept beside that, and its input with those of all jobs.
-- The fan-out's fact `ahead` is `epoch until counted low`: the policy, the first index of which nothing is known, the results that looks have
-- seen, and the index at which somebody has to prepare more.
local KEPT = {'topic', 'priority', 'epoch', 'decision', 'ready_at', 'worker', 'started_at', 'completed_at', 'deadline', 'recorded'}
local DROPPED = {'claim', 'timeout_ms', 'retries_left', 'shape', 'alike'}

local function filled(text, mark, index)
  local pieces, at = {}, 1
  local first, last = string.find(text, mark, at, true)
  while first do
    pieces[#pieces + 1], at = string.sub(text, at, first - 1), last + 1
    first, last = string.find(text, mark, at, true)
  end
  pieces[#pieces + 1] = string.sub(text, at)
  return table.concat(pieces, index)
end

local function begin_child(index, now)
  local ref = a_fan .. '[' .. index .. ']'
  local alike, digest = unpack(redis.call('HMGET', k_prepared, a_fan, ref))
  if not alike or not digest then return false end
  local mark = string.sub(alike, 1, string.find(alike, '\n', 1, true) - 1)
  local lines = lines_of(filled(string.sub(alike, #mark + 2), mark, index))
  local topic, window, turns, parked, ready = lines[14], lines[16], lines[17], lines[18], lines[19]
  local decision = string.sub(lines[24], 1, -3) .. ',"job_hash":"' .. digest .. '"}}'
  redis.call('HDEL', k_prepared, ref)
  redis.call('HSET', k_steps, ref, 'ready:1')
  redis.call('HSET', k_facts, ref .. '#ready_at', string.format('%.0f', now), unpack(lines, 25))
  audit_prepared(lines[20], lines[21], lines[22], {decision}, now)
  tell(k_timeline, now, lines[23], decision)
  set_out(lines[13], table.concat(lines, '\n', 1, 12), topic, tonumber(lines[15]), window, turns, parked, ready, now, a_minimum)
  release(topic, window, turns, parked, now, a_minimum)
  return true
end

-- As `put_away` does with what a commit names; what is kept reads like `archived_text`. Who gave the result is known by its claim still.
local function put_child_away()
  local fields, state = {}, {mark = 'succeeded:1'}
  for i, fact in ipairs(KEPT) do fields[i] = a_step .. '#' .. fact end
  for i, text in ipairs(redis.call('HMGET', k_facts, unpack(fields))) do state[KEPT[i]] = text or nil end
  for i, fact in ipairs(DROPPED) do fields[#KEPT + i] = a_step .. '#' .. fact end
  redis.call('HSET', k_children, a_step, cjson.encode(state))
  redis.call('HDEL', k_steps, a_step)
  redis.call('HDEL', k_facts, unpack(fields))
end

local function is_put_away_with(nonce)
  local state = a_fan ~= '' and redis.call('HGET', k_children, a_step)
  return state and cjson.decode(state).recorded == nonce
end

-- The word to answer with; nil: a look has to count this child. `alike`: by which policy it began like all others, and not in another way.
local function go_ahead(now)
  local fields = {a_fan .. '#ahead', a_fan .. '#started', a_fan .. '#settled', a_fan .. '#total', a_fan .. '#results', a_step .. '#alike'}
  local ahead, started, settled, total, results, alike = unpack(redis.call('HMGET', k_facts, unpack(fields)))
  if not alike or not ahead then return nil end
  local epoch, known, counted, low = string.match(ahead, '^(%d+) (%d+) (%d+) (%d+)$')
  if alike ~= epoch or a_attempt ~= '1' then return nil end
  if (redis.call('HGET', k_policy, 'epoch') or '0') ~= epoch then return nil end -- guard: policy_of_children
  local status, version, held = unpack(redis.call('HMGET', k_run, 'status', 'version', 'held'))
  if status == 'paused' then return nil end -- guard: not_paused
  -- Somebody's plan was refused because of children that began here: they stop until one has been committed.
  if held == '1' then return nil end
  started, settled, total = tonumber(started or '0'), tonumber(settled or '0') + 1, tonumber(total)
  put_child_away()
  local look = settled + tonumber(results or '0') - tonumber(counted) >= total or started == tonumber(low)
  if started < total then
    if started < tonumber(known) and begin_child(started, now) then started = started + 1 else look = true end
  end
  redis.call('HSET', k_facts, a_fan .. '#started', started, a_fan .. '#settled', settled)
  redis.call('HSET', k_run, 'version', string.format('%.0f', version + 1), 'updated_at', string.format('%.0f', now))
  count('commits:straight')
  if not look then return 'RECORDED' end
  redis.call('HINCRBY', k_run, 'signals', 1)
  wake(a_run_id, now, a_message)
  return 'ADVANCE'
end

-- Whether somebody has to look at a success that a look has to count: so many have come, or all there will be.
local function has_enough()
  local results = redis.call('HINCRBY', k_facts, a_fan .. '#results', 1)
  local wake_after, ahead, settled, total = unpack(redis.call('HMGET', k_facts, a_fan .. '#wake_after', a_fan .. '#ahead', a_fan .. '#settled', a_fan .. '#total'))
  if not wake_after or results >= tonumber(wake_after) then return true end
  local counted = ahead and string.match(ahead, '^%d+ %d+ (%d+)')
  return counted and tonumber(settled or '0') + results - tonumber(counted) >= tonumber(total)
end
