-- commit: write one plan. The plan's control document holds only our own words and numbers; everything a user said comes as opaque
-- arguments behind it, taken in order: hash fields and values, event texts, parked records.
local function put_away(gone)
  for _, ref in ipairs(gone.refs) do
    local fields = {}
    for i, fact in ipairs(gone.facts) do fields[i] = ref .. '#' .. fact end
    redis.call('HDEL', k_steps, ref)
    redis.call('HDEL', k_facts, unpack(fields))
  end
end

-- Other runs that have to look because of this one: their plans of before this moment must not clear their marks.
local function stir(plan, now)
  for _, other in ipairs(plan.stirred) do
    if redis.call('EXISTS', KEYS[other.key]) == 1 then
      redis.call('HINCRBY', KEYS[other.key], 'signals', 1)
      wake(other.run, now, a_message)
    end
  end
end

local function commit(plan, first, now)
  local at = first
  for _, write in ipairs(plan.hashes) do
    local stop = at + 2 * write[2]
    while at < stop do
      local last = math.min(at + 1000, stop) - 1
      redis.call('HSET', KEYS[write[1]], unpack(ARGV, at, last))
      at = last + 1
    end
  end
  for _, move in ipairs(plan.moves) do redis.call('HSET', k_steps, move[1], move[3]) end
  if plan.gone then put_away(plan.gone) end
  for _, ref in ipairs(plan.brought_back) do redis.call('HDEL', KEYS[plan.children], ref) end
  for _, number in ipairs(plan.taken) do redis.call('HDEL', k_inbox, number) end
  local jobs_at = at + plan.events
  while at < jobs_at do
    local last = math.min(at + 1000, jobs_at) - 1
    tell(k_timeline, now, unpack(ARGV, at, last))
    at = last + 1
  end
  for _, gone in ipairs(plan.withdrawn) do
    redis.call('HDEL', KEYS[gone.parked], gone.job)
    redis.call('SREM', KEYS[gone.window], gone.job)
    redis.call('ZREM', KEYS[gone.sent], gone.job)
    if gone.held then
      redis.call('SREM', KEYS[gone.held], gone.job)
      redis.call('RPUSH', KEYS[gone.stops], gone.job)
    end
  end
  for _, job in ipairs(plan.jobs) do
    local topic = plan.topics[job.topic]
    local turns = KEYS[topic.turns]
    local target = job.targets and redis.call('EXISTS', turns) == 0 and redis.call('HGET', k_windows, topic.name) ~= '0'
      and free_target(job.targets, now)
    if target then
      send(job.id, ARGV[at], KEYS[topic.window], now, nil, KEYS[target.list], KEYS[target.sent])
    elseif topic.route then
      redis.call('HSET', KEYS[topic.parked], job.id, ARGV[at])
      redis.call('LPUSH', KEYS[job.ready], job.id)
      enter_turns(turns, KEYS[job.ready], job.priority)
      redis.call('SADD', KEYS[plan.routes], topic.route)
      release_route(topic.name, turns, KEYS[topic.parked], KEYS[topic.window], job.targets or {}, now)
    -- Straight onto its queue when nobody waits before it.
    elseif redis.call('EXISTS', turns) == 0 and room(topic.name, KEYS[topic.window], plan.window) > 0 then
      send(job.id, ARGV[at], KEYS[topic.window], now)
    else
      redis.call('HSET', KEYS[topic.parked], job.id, ARGV[at])
      redis.call('LPUSH', KEYS[job.ready], job.id)
      enter_turns(turns, KEYS[job.ready], job.priority)
    end
    at = at + 1
  end
  for _, topic in ipairs(plan.topics) do
    if not topic.route then release(topic.name, KEYS[topic.window], KEYS[topic.turns], KEYS[topic.parked], now, plan.window) end
  end
  for _, job_id in ipairs(plan.asked) do
    redis.call('ZADD', k_approvals, string.format('%.0f', now), job_id)
    redis.call('ZADD', k_open_approvals, string.format('%.0f', now), job_id)
    redis.call('ZADD', k_asked, string.format('%.0f', now), job_id)
  end
  for _, closed in ipairs(plan.closed) do
    redis.call('HSET', KEYS[closed.key], 'state', closed.state, 'decided_at', string.format('%.0f', now))
    redis.call('ZREM', k_open_approvals, closed.job)
    redis.call('ZREM', k_asked, closed.job)
  end
  for _, job_id in ipairs(plan.dead) do redis.call('ZADD', k_dead_letters, string.format('%.0f', now), job_id) end
  for _, counted in ipairs(plan.counts) do redis.call('HINCRBY', k_stats, counted[1], counted[2]) end
  if plan.opened then redis.call('SADD', k_open_runs_of, plan.run) end
  stir(plan, now)
  if plan.changed then
    redis.call('HINCRBY', k_run, 'version', 1)
    redis.call('HSET', k_run, 'updated_at', string.format('%.0f', now))
  end
  if plan.ended then
    redis.call('SREM', k_open_runs_of, plan.run)
    redis.call('HSET', k_run, 'completed_at', string.format('%.0f', now))
    redis.call('ZREM', k_timers, plan.run)
  elseif plan.wake_at then
    redis.call('ZADD', k_timers, 'LT', string.format('%.0f', plan.wake_at), plan.run)
  end
end
