-- release: put jobs onto their Celery queue while their topic has room.
-- Highest priority first, tenants in turn, each tenant's jobs in order. A record carries the keys it needs, because the next job
-- may belong to any run: `weight, run_key, steps_key, step, attempt, epoch, facts_key, timeline_key, list_key, sent_key, event, message`, one a line.
-- A tenant of weight w has w jobs in each of its turns; how many it has had is kept in the thousandths of its score.
-- MOVES ready>queued
local function parse_record(record)
  return string.match(record, '^[^\n]*\n' .. string.rep('([^\n]*)\n', 10) .. '(.*)$')
end

-- What `cause` says stands on the timeline before the job is sent; JSON text of our own.
local function cause_event(job_id, step, attempt, cause)
  return '{"type":"step.ready","step_id":"' .. step .. '","attempt":' .. attempt .. ',"job_id":"' .. job_id .. '","data":' .. cause .. '}'
end

local function next_turn(turns, ready, score, weight)
  if redis.call('LLEN', ready) == 0 then
    redis.call('ZREM', turns, ready)
    return
  end
  if weight > 1 and (score - math.floor(score)) * 1000 + 1.5 < weight then
    redis.call('ZADD', turns, string.format('%.3f', score + 0.001), ready)
    return
  end
  -- Behind every other list of the same priority: scores of one priority lie within 1e12 of each other.
  local floor = math.floor(score / 1e12) * 1e12
  local last = redis.call('ZREVRANGEBYSCORE', turns, '(' .. string.format('%.0f', floor + 1e12), string.format('%.0f', floor), 'WITHSCORES', 'LIMIT', 0, 1)
  if last[1] ~= ready then redis.call('ZADD', turns, string.format('%.0f', math.floor(last[2]) + 1), ready) end
end

local function enter_turns(turns, ready, priority)
  if redis.call('ZSCORE', turns, ready) then return end
  local floor = priority * 1e12
  local last = redis.call('ZREVRANGEBYSCORE', turns, '(' .. string.format('%.0f', floor + 1e12), string.format('%.0f', floor), 'WITHSCORES', 'LIMIT', 0, 1)
  redis.call('ZADD', turns, string.format('%.0f', last[2] and math.floor(last[2]) + 1 or floor), ready)
end

local function room(topic, window, minimum)
  return tonumber(redis.call('HGET', k_windows, topic) or minimum) - redis.call('SCARD', window)
end

-- `direct` and `held`: the list of one worker and the set of what is on its way there, in place of the topic's own.
local function send(job_id, record, window, now, cause, direct, held)
  local run, steps, step, attempt, epoch, facts, timeline, list, sent, event, message = parse_record(record)
  if redis.call('HGET', steps, step) ~= 'ready:' .. attempt then return 0 end
  -- Decided by a policy that does not hold any more: it stays where it is, and the planner decides it anew.
  if (redis.call('HGET', k_policy, 'epoch') or '0') ~= epoch then
    redis.call('HINCRBY', run, 'signals', 1)
    wake(string.match(job_id, '^[^:]+'), now, a_message)
    return 0
  end
  redis.call('HSET', steps, step, 'queued:' .. attempt)
  redis.call('SADD', window, job_id)
  redis.call('ZADD', held or sent, string.format('%.0f', now), job_id)
  redis.call('LPUSH', direct or list, message)
  if direct then redis.call('HSET', facts, step .. '#direct', direct) end
  if cause then tell(timeline, now, cause_event(job_id, step, attempt, cause), event) else tell(timeline, now, event) end
  return 1
end

local function wait_in_line(job_id, record, priority, turns, parked, ready)
  redis.call('HSET', parked, job_id, record)
  redis.call('LPUSH', ready, job_id)
  enter_turns(turns, ready, priority)
end

-- Straight onto its queue when nobody waits before it, else to the end of its line; whether it waits there.
local function set_out(job_id, record, topic, priority, window, turns, parked, ready, now, minimum)
  if redis.call('EXISTS', turns) == 0 and room(topic, window, minimum) > 0 then
    send(job_id, record, window, now)
  else
    wait_in_line(job_id, record, priority, turns, parked, ready)
    return true
  end
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

local function release(topic, window, turns, parked, now, minimum, cause)
  local turn = redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')
  local left = turn[1] and room(topic, window, minimum) or 0
  while turn[1] and left > 0 do
    local job_id, record = next_record(turn[1], parked)
    next_turn(turns, turn[1], tonumber(turn[2]), tonumber(record and string.match(record, '^%d+') or 1))
    if record then left = left - send(job_id, record, window, now, cause) end
    turn = left > 0 and redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES') or {}
  end
end
