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

-- A run created beside this one: it has no steps yet, and gives itself those at its first look.
local function link(linked, now)
  redis.call('HSET', KEYS[linked.key], 'created_at', string.format('%.0f', now))
  redis.call('ZADD', KEYS[linked.runs], string.format('%.0f', now), linked.run)
  redis.call('ZADD', KEYS[linked.runs_of], string.format('%.0f', now), linked.run)
  redis.call('SADD', k_open_runs_of, linked.run)
  wake(linked.run, now, a_message)
end

-- Ended runs are found by the time of their end, to be removed some day.
local function keep(plan, now)
  if plan.ended then
    redis.call('ZADD', KEYS[plan.kept.ended], string.format('%.0f', now), plan.run)
    redis.call('ZADD', KEYS[plan.kept.keepers], 'NX', string.format('%.0f', now), plan.kept.tenant)
  else
    redis.call('ZREM', KEYS[plan.kept.ended], plan.run)
    redis.call('ZREM', KEYS[plan.kept.needed], plan.run)
  end
end

-- A signal that came before its step: the oldest that has not expired.
local function take_kept(plan, wait, now)
  local record = redis.call('LPOP', KEYS[wait.kept])
  while record do
    local expires, token, event, signal = string.match(record, '^([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$')
    redis.call('ZREM', KEYS[wait.index], token)
    if tonumber(expires) > now then
      redis.call('HSET', KEYS[wait.once], 'signal:' .. token .. '#' .. wait.step, 1)
      redis.call('HSET', k_inbox, redis.call('HINCRBY', k_run, 'signals_sent', 1), signal)
      redis.call('HINCRBY', k_run, 'signals', 1)
      tell(k_timeline, now, event)
      audit(wait.tenant, now, 'run:' .. plan.run, {event})
      return true
    end
    record = redis.call('LPOP', KEYS[wait.kept])
  end
  return false
end

-- Dead letters that this plan adds, and those that it has dealt with. Open ones lie by group and time in one set ordered by text; a
-- group is known for as long as it has any.
local function bury(plan, now)
  local at = string.format('%.0f', now)
  for _, letter in ipairs(plan.dead) do
    local entry = letter.group .. '|' .. string.format('%013.0f', now) .. '|' .. letter.job
    redis.call('ZADD', k_dead_letters, at, letter.job)
    redis.call('ZADD', k_open_letters, 0, entry)
    redis.call('HSETNX', k_letter_tenants, plan.tenant, 0)
    redis.call('HSET', KEYS[letter.key], 'entry', entry)
    if letter.message then
      redis.call('LPUSH', KEYS[letter.list], letter.message)
      redis.call('ZADD', KEYS[letter.sent], at, letter.job)
    end
  end
  for _, letter in ipairs(plan.handled) do
    local entry = redis.call('HGET', KEYS[letter.key], 'entry')
    if entry then
      local group = string.match(entry, '^(%x+)|')
      redis.call('ZREM', k_open_letters, entry)
      if redis.call('ZLEXCOUNT', k_open_letters, '[' .. group .. '|', '(' .. group .. '}') == 0 then redis.call('HDEL', k_letter_groups, group) end
      redis.call('ZADD', k_handled_letters, at, letter.job)
      redis.call('HSET', KEYS[letter.key], 'handled_at', at)
    end
  end
end

-- A job goes to one of the workers named for it that has room, if nobody waits before it; else to its line.
local function place(job, record, plan, now)
  local topic = plan.topics[job.topic]
  local window, turns, parked, ready = KEYS[topic.window], KEYS[topic.turns], KEYS[topic.parked], KEYS[job.ready]
  local target = job.targets and redis.call('EXISTS', turns) == 0 and redis.call('HGET', k_windows, topic.name) ~= '0'
    and free_target(job.targets, now)
  if target then
    send(job.id, record, window, now, nil, KEYS[target.list], KEYS[target.sent])
  elseif topic.route then
    set_out_on_route(job.id, record, job.priority, turns, parked, ready, topic.route, KEYS[plan.routes])
    release_route(topic.name, turns, parked, window, job.targets or {}, now)
  else
    set_out(job.id, record, topic.name, job.priority, window, turns, parked, ready, now, plan.window)
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
  if plan.audited then
    local told = {}
    for i, number in ipairs(plan.audited.events) do told[i] = ARGV[at + number] end
    audit(plan.audited.tenant, now, 'run:' .. plan.run, told)
  end
  while at < jobs_at do
    local last = math.min(at + 1000, jobs_at) - 1
    tell(k_timeline, now, unpack(ARGV, at, last))
    at = last + 1
  end
  if plan.told then
    tell(KEYS[plan.told.timeline], now, ARGV[at])
    audit(plan.told.tenant, now, 'run:' .. plan.told.run, {ARGV[at]})
    at = at + 1
  end
  for _, gone in ipairs(plan.withdrawn) do
    redis.call('HDEL', KEYS[gone.parked], gone.job)
    redis.call('SREM', KEYS[gone.window], gone.job)
    redis.call('ZREM', KEYS[gone.sent], gone.job)
    if gone.held then
      redis.call('SREM', KEYS[gone.held], gone.job)
      redis.call('RPUSH', KEYS[gone.stops], gone.job)
    end
    if gone.quotas then leave_quotas(gone.job, gone.quotas) end
  end
  for _, job in ipairs(plan.jobs) do
    local record = ARGV[at]
    if job.limited then record = take_places(job.id, record, now) end
    if record then place(job, record, plan, now) end
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
    waited(closed.state, redis.call('ZSCORE', k_asked, closed.job), now)
    redis.call('ZREM', k_open_approvals, closed.job)
    redis.call('ZREM', k_asked, closed.job)
  end
  bury(plan, now)
  for _, counted in ipairs(plan.counts) do redis.call('HINCRBY', k_stats, counted[1], counted[2]) end
  for _, wait in ipairs(plan.unawaited) do redis.call('SREM', KEYS[wait.waiting], wait.member) end
  for _, wait in ipairs(plan.awaited) do
    if take_kept(plan, wait, now) then plan.again = true else redis.call('SADD', KEYS[wait.waiting], wait.member) end
  end
  if plan.opened then redis.call('SADD', k_open_runs_of, plan.run) end
  stir(plan, now)
  if plan.kept then keep(plan, now) end
  if plan.linked then link(plan.linked, now) end
  if plan.changed then
    redis.call('HINCRBY', k_run, 'version', 1)
    redis.call('HSET', k_run, 'updated_at', string.format('%.0f', now))
  end
  if plan.ended then
    drop_spent(spent_fields(plan.spent, redis.call('HKEYS', k_steps)))
    redis.call('DEL', KEYS[plan.prepared])
    redis.call('SREM', k_open_runs_of, plan.run)
    redis.call('HSET', k_run, 'completed_at', string.format('%.0f', now))
    redis.call('ZREM', k_timers, plan.run)
  elseif plan.wake_at then
    redis.call('ZADD', k_timers, 'LT', string.format('%.0f', plan.wake_at), plan.run)
  end
end
