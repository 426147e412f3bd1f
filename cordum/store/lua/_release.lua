-- release: put jobs onto their Celery queue while their topic has room.
-- Highest priority first, tenants in turn, each tenant's jobs in order. A record carries the keys it needs, because the next job
-- may belong to any run: `weight, run_key, steps_key, step, attempt, epoch, facts_key, timeline_key, list_key, sent_key, event, message`, one a line.
-- A tenant of weight w has w jobs in each of its turns; how many it has had is kept in the thousandths of its score. Whoever has not
-- waited lately comes first, for one window: so what another has submitted before delays it by little more than that.
-- MOVES ready>queued
local MOST_NEW, NEW_ON_ROUTE, AT_ONCE = 900, 8, 500
-- (A pattern takes twice as long.)
local function lines_of(text)
  local find, sub, lines, count, at = string.find, string.sub, {}, 1, 1
  local stop = find(text, '\n', 1, true)
  while stop do
    lines[count], count, at = sub(text, at, stop - 1), count + 1, stop + 1
    stop = find(text, '\n', at, true)
  end
  lines[count] = sub(text, at)
  return lines
end

-- What `cause` says stands on the timeline before the job is sent; JSON text of our own.
local function cause_event(job_id, step, attempt, cause)
  return '{"type":"step.ready","step_id":"' .. step .. '","attempt":' .. attempt .. ',"job_id":"' .. job_id .. '","data":' .. cause .. '}'
end

-- The lists of one priority lie between floor and floor + 1e12: up to the middle those in their first turn, from there on all others.
local function zone(score)
  local floor = math.floor(score / 1e12) * 1e12
  return floor, floor + 5e11
end

local function last_newcomer(turns, floor, middle)
  local last = redis.call('ZREVRANGEBYSCORE', turns, '(' .. string.format('%.0f', middle), string.format('%.0f', floor), 'WITHSCORES', 'LIMIT', 0, 1)
  return last[1], last[2] and math.floor(last[2])
end

-- How far the turns of those are that are not new.
local function turn_of_all(turns, middle)
  local first = redis.call('ZRANGEBYSCORE', turns, string.format('%.0f', middle), string.format('%.0f', middle + 5e11), 'WITHSCORES', 'LIMIT', 0, 1)
  return first[2] and math.floor(first[2]) or middle
end

local function set_turn(turns, ready, whole, thousandths)
  redis.call('ZADD', turns, string.format('%.3f', whole + thousandths / 1000), ready)
end

-- A list has been served, or (no `record`) found empty. Its first turn is as long as the window is wide, taken in turn with other new
-- ones. One that is empty stays known for as long as it would take to earn another: else a tenant could be new again and again.
local function next_turn(turns, ready, score, record, width)
  local floor, middle = zone(score)
  local whole, had = math.floor(score), math.floor((score - math.floor(score)) * 1000 + 1.5)
  local weight, is_new = tonumber(record and string.match(record, '^%d+') or 1), score < middle
  if redis.call('LLEN', ready) == 0 then
    if not record or redis.call('ZCARD', turns) == 1 then redis.call('ZREM', turns, ready)
    elseif is_new then set_turn(turns, ready, turn_of_all(turns, middle) + had, width)
    else set_turn(turns, ready, whole + 1 + width, width) end
  elseif is_new and had >= width then set_turn(turns, ready, turn_of_all(turns, middle), 0)
  elseif is_new and had % weight == 0 then
    local last, place = last_newcomer(turns, floor, middle)
    set_turn(turns, ready, last == ready and whole or place + 1, had)
  elseif is_new or had < weight then set_turn(turns, ready, whole, had)
  else set_turn(turns, ready, whole + 1, 0) end
end

-- `was_empty`: the list, until now. If it is known still, it goes on from where it was.
local function enter_turns(turns, ready, priority, was_empty)
  local known = tonumber(redis.call('ZSCORE', turns, ready) or nil)
  local floor, middle = zone(known or priority * 1e12)
  if not known then
    local _, place = last_newcomer(turns, floor, middle)
    set_turn(turns, ready, place and place + 1 or floor, 0)
  elseif was_empty and known >= middle then
    local whole = math.floor(known)
    set_turn(turns, ready, math.max(whole - math.floor((known - whole) * 1000 + 0.5), middle), 0)
  end
end

-- How many more may be on their way, and how many at most.
local function room(topic, window, minimum)
  local width = tonumber(redis.call('HGET', k_windows, topic) or minimum)
  return width - redis.call('SCARD', window), width
end

-- Onto its queue, and among those that are on their way.
local function dispatch(job_id, window, sent, list, message, now)
  redis.call('SADD', window, job_id)
  redis.call('ZADD', sent, now, job_id)
  redis.call('LPUSH', list, message)
end

local held_epoch
local function policy_epoch()
  held_epoch = held_epoch or redis.call('HGET', k_policy, 'epoch') or '0'
  return held_epoch
end

-- A job leaves its line, if it may; what is left to do is to send it. `lines`: its record.
local function sets_off(job_id, lines, now, cause)
  local _, run, steps, step, attempt, epoch, _, timeline, _, _, event = unpack(lines)
  if redis.call('HGET', steps, step) ~= 'ready:' .. attempt then return false end
  -- Decided by a policy that does not hold any more: it stays where it is, and the planner decides it anew.
  if policy_epoch() ~= epoch then
    redis.call('HINCRBY', run, 'signals', 1)
    wake(string.match(job_id, '^[^:]+'), now, a_message)
    return false
  end
  redis.call('HSET', steps, step, 'queued:' .. attempt)
  if cause then tell(timeline, now, cause_event(job_id, step, attempt, cause), event) else tell(timeline, now, event) end
  return true
end

-- `direct` and `held`: the list of one worker and the set of what is on its way there, in place of the topic's own.
local function send(job_id, record, window, now, cause, direct, held)
  local lines = lines_of(record)
  if not sets_off(job_id, lines, now, cause) then return 0 end
  dispatch(job_id, window, held or lines[10], direct or lines[9], lines[12], now)
  if direct then redis.call('HSET', lines[7], lines[4] .. '#direct', direct) end
  return 1
end

-- `members`: of what is on its way by this list, when it was sent and its id in turn.
local function send_list(list)
  redis.call('ZADD', list.sent, unpack(list.members))
  redis.call('LPUSH', list.name, unpack(list.messages))
end

-- The same of several, with as few commands as may be; how many went. `jobs`: their ids, each with its record.
local function send_together(jobs, window, now, cause)
  local gone, lists, by_list = {}, {}, {}
  for i = 1, #jobs, 2 do
    local job_id, lines = jobs[i], lines_of(jobs[i + 1])
    if sets_off(job_id, lines, now, cause) then
      gone[#gone + 1] = job_id
      local list = by_list[lines[9]]
      if not list then
        list = {name = lines[9], sent = lines[10], members = {}, messages = {}}
        lists[#lists + 1], by_list[lines[9]] = list, list
      end
      list.messages[#list.messages + 1] = lines[12]
      list.members[#list.members + 1], list.members[#list.members + 2] = now, job_id
    end
  end
  if #gone > 0 then redis.call('SADD', window, unpack(gone)) end
  for _, list in ipairs(lists) do send_list(list) end
  return #gone
end

local function wait_in_line(job_id, record, priority, turns, parked, ready)
  redis.call('HSET', parked, job_id, record)
  enter_turns(turns, ready, priority, redis.call('LPUSH', ready, job_id) == 1)
end

-- Whether a job may go straight onto its queue: nobody waits before it, and there is room.
local function may_go(topic, turns, window, minimum)
  return redis.call('EXISTS', turns) == 0 and room(topic, window, minimum) > 0
end

-- There, or to the end of its line.
local function set_out(job_id, record, topic, priority, window, turns, parked, ready, now, minimum)
  if may_go(topic, turns, window, minimum) then send(job_id, record, window, now)
  else wait_in_line(job_id, record, priority, turns, parked, ready) end
end

-- To the line of those whom only some workers may have; those take it from there.
local function set_out_on_route(job_id, record, priority, turns, parked, ready, route, routes)
  wait_in_line(job_id, record, priority, turns, parked, ready)
  redis.call('SADD', routes, route)
end

-- The next job of a list and its record. Jobs that were taken back have left their ids; they cost their tenant no turn.
local function next_record(ready, parked)
  local job_id = redis.call('RPOP', ready)
  while job_id do
    local record = redis.call('HGET', parked, job_id)
    if record then
      redis.call('HDEL', parked, job_id)
      return job_id, record
    end
    job_id = redis.call('RPOP', ready)
  end
end

-- Several jobs of the one list that there is, and its turn as `next_turn` would leave it after each of them.
local function take_alone(ready, score, most, width, turns, parked, jobs)
  local ids = redis.call('RPOP', ready, most) or {}
  local _, middle = zone(score)
  local whole, had = math.floor(score), math.floor((score - math.floor(score)) * 1000 + 0.5)
  for i, record in ipairs(#ids > 0 and redis.call('HMGET', parked, unpack(ids)) or {}) do
    if record then
      jobs[#jobs + 1], jobs[#jobs + 2] = ids[i], record
      local is_new = whole < middle
      had = had + 1
      if is_new and had >= width then whole, had = middle, 0
      elseif not is_new and had >= tonumber(string.match(record, '^%d+')) then whole, had = whole + 1, 0 end
    end
  end
  if #ids > 0 then redis.call('HDEL', parked, unpack(ids)) end
  if #ids < most or redis.call('LLEN', ready) == 0 then redis.call('ZREM', turns, ready) else set_turn(turns, ready, whole, had) end
end

-- The next jobs of all lists in turn, at most so many: their ids, each with its record.
local function next_jobs(most, width, turns, parked)
  local jobs = {}
  while #jobs < 2 * most do
    local first, score, another = unpack(redis.call('ZRANGE', turns, 0, 1, 'WITHSCORES'))
    if not first then break end
    if another then
      local job_id, record = next_record(first, parked)
      next_turn(turns, first, tonumber(score), record, width)
      if record then jobs[#jobs + 1], jobs[#jobs + 2] = job_id, record end
    else take_alone(first, tonumber(score), most - #jobs / 2, width, turns, parked, jobs) end
  end
  return jobs
end

local function release(topic, window, turns, parked, now, minimum, cause)
  if redis.call('EXISTS', turns) == 0 then return end
  local left, width = room(topic, window, minimum)
  while left > 0 do
    local jobs = next_jobs(math.min(left, AT_ONCE), math.min(width, MOST_NEW), turns, parked)
    if #jobs == 0 then return end
    left = left - send_together(jobs, window, now, cause)
  end
end
