-- route: jobs that only some workers may have go to one of those, while it lives and has room. `targets` are such workers, the best
-- first; each names its keys by number. A job that lies on a worker's direct list and is not claimed is held for it in `sent`.
local function free_target(targets, now)
  for _, target in ipairs(targets) do
    local lease = redis.call('ZSCORE', k_workers, target.worker)
    if lease and tonumber(lease) >= now
      and redis.call('SCARD', KEYS[target.held]) + redis.call('ZCARD', KEYS[target.sent]) < target.most then return target end
  end
end

-- What waits for these workers, as long as one of them has room and the queue of its topic is not paused.
local function release_route(topic, turns, parked, window, targets, now, cause)
  local turn = redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')
  if not turn[1] or redis.call('HGET', k_windows, topic) == '0' then return end
  local target = free_target(targets, now)
  while turn[1] and target do
    local job_id, record = next_record(turn[1], parked)
    next_turn(turns, turn[1], tonumber(turn[2]), record, NEW_ON_ROUTE)
    if record then send(job_id, record, window, now, cause, KEYS[target.list], KEYS[target.sent]) end
    turn = redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')
    target = turn[1] and free_target(targets, now)
  end
end
