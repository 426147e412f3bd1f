-- quota: a job that names quotas takes a place in each before it goes on its way, in all of them at once, or waits for the first that is
-- full. It gives them back together with its place in the topic's window, and the script that does so moves whoever waits.
-- A job's quotas are `waiting_key alarms_key`, then one a line: `places_key waiters_key most window_ms token registry_key id`. What a waiting
-- job leaves is an entry: `turn topic priority window_key turns_key parked_key ready_key route routes_key` (`-`: it has none), its quotas, what each is called, and its record, with
-- blank lines between.
local function quotas_of(text)
  local found = {}
  for places, waiters, most, span, token, registry, id in string.gmatch(text, '\n(%S+) (%S+) (%d+) (%d+) (%S+) (%S+) (%S+)') do
    found[#found + 1] = {places = places, waiters = waiters, most = tonumber(most), span = tonumber(span), token = token, registry = registry, id = id}
  end
  return found
end

-- A limit that may change while jobs wait for it stands in a hash, whose key is the token of such a quota.
local function most_of(quota)
  if quota.span > 0 or quota.token == '-' then return quota.most end
  return tonumber(redis.call('HGET', quota.token, 'most:' .. quota.id) or quota.most)
end

-- Whether it stands in a rate's window already; what has left the window is forgotten.
local function has_begun(quota, now)
  if quota.span == 0 then return false end
  redis.call('ZREMRANGEBYSCORE', quota.places, '-inf', string.format('%.0f', now - quota.span))
  return redis.call('ZSCORE', quota.places, quota.token)
end

-- When the oldest of those that fill a window leaves it.
local function room_at(quota)
  local oldest = redis.call('ZRANGE', quota.places, -quota.most, -quota.most, 'WITHSCORES')
  return oldest[2] and tonumber(oldest[2]) + quota.span
end

local function must_wait(quota, turn, now)
  if has_begun(quota, now) then return false end
  local taken = redis.call(quota.span > 0 and 'ZCARD' or 'SCARD', quota.places)
  if taken >= most_of(quota) then return true end -- guard: quota_room
  return redis.call('ZCOUNT', quota.waiters, '-inf', '(' .. turn) > 0
end

local function take_place(quota, job_id, name, now)
  if quota.span > 0 then
    redis.call('ZADD', quota.places, 'NX', string.format('%.0f', now), quota.token)
    -- For tidiness alone, so it may be late: what counts is the clock.
    redis.call('PEXPIRE', quota.places, quota.span + 86400000)
  else
    redis.call('SADD', quota.places, job_id)
    redis.call('HSET', quota.registry, quota.id, name)
  end
end

local function wait_for(quota, job_id, turn, name, alarms)
  redis.call('ZADD', quota.waiters, turn, job_id)
  if quota.span == 0 then redis.call('HSET', quota.registry, quota.id, name) end
  local at = quota.span > 0 and room_at(quota)
  if at then redis.call('ZADD', alarms, 'LT', string.format('%.0f', at), quota.waiters) end
end

-- The job's record and where it goes from here; or nil and the waiters' key of the quota that it has to wait for.
local function take_places(job_id, entry, now)
  local head, text, called, record = string.match(entry, '^(.-)\n\n(.-)\n\n(.-)\n\n(.*)$')
  local turn = string.match(head, '^(%S+)')
  local waiting, alarms = string.match(text, '^(%S+) (%S+)')
  local quotas, names = quotas_of(text), {}
  for name in string.gmatch(called, '[^\n]+') do names[#names + 1] = name end
  for i, quota in ipairs(quotas) do
    if must_wait(quota, turn, now) then
      redis.call('HSET', waiting, job_id, entry)
      wait_for(quota, job_id, turn, names[i], alarms)
      return nil, quota.waiters
    end
  end
  for i, quota in ipairs(quotas) do take_place(quota, job_id, names[i], now) end
  return record, head
end

-- The waiters' key of the quota that it has to wait for, or nil. `cause`: why it may go now; it stands on the timeline before the start.
local function admit(job_id, entry, now, minimum, cause)
  local record, way = take_places(job_id, entry, now)
  if not record then return way end
  local _, _, _, step, attempt, _, _, timeline = unpack(lines_of(record))
  tell(timeline, now, cause_event(job_id, step, attempt, cause))
  local topic, priority, window, turns, parked, ready, route, routes = string.match(way, '^%S+' .. string.rep(' (%S+)', 8) .. '$')
  if route == '-' then set_out(job_id, record, topic, tonumber(priority), window, turns, parked, ready, now, minimum)
  else set_out_on_route(job_id, record, tonumber(priority), turns, parked, ready, route, routes) end
end

-- Let those at the head of the line go, until one has to stay.
local function serve(waiters, waiting, now, minimum, cause)
  local stays
  repeat
    local job_id = redis.call('ZRANGE', waiters, 0, 0)[1]
    if not job_id then return end
    local entry = redis.call('HGET', waiting, job_id)
    redis.call('ZREM', waiters, job_id)
    redis.call('HDEL', waiting, job_id)
    stays = admit(job_id, entry, now, minimum, cause)
  until stays == waiters
end

-- A job neither holds nor waits any more; what it has begun stays counted in the window of a rate. Whoever calls this lets others in.
local function leave_quotas(job_id, text)
  redis.call('HDEL', string.match(text, '^(%S+)'), job_id)
  for _, quota in ipairs(quotas_of(text)) do
    redis.call('ZREM', quota.waiters, job_id)
    if quota.span == 0 then redis.call('SREM', quota.places, job_id) end
  end
end

-- `by`: the job that has left.
local function serve_quotas(text, now, minimum, by)
  local waiting, cause = string.match(text, '^(%S+)'), '{"reason":"place_released","by":"' .. by .. '"}'
  for _, quota in ipairs(quotas_of(text)) do
    serve(quota.waiters, waiting, now, minimum, cause)
    if quota.span == 0 and redis.call('EXISTS', quota.places, quota.waiters) == 0 then redis.call('HDEL', quota.registry, quota.id) end
  end
end

-- The end of an attempt, or of its being queued. Most have no quotas.
local function free_quotas(job_id, text, now, minimum)
  if not text or text == '' then return end
  leave_quotas(job_id, text)
  serve_quotas(text, now, minimum, job_id)
end
