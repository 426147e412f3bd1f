-- take_routed: a worker with free slots takes what waits on routes that it may serve onto its own direct list, up to `want`.
-- KEYS clock workers windows list sent policy wakeups coordinator ...
-- ARGV incarnation want cause message ...
-- REPLY TAKEN
-- include clock timeline wake release
-- The further keys are three for each route: turns, parked, window; the further arguments are the routes' topics.
local now = clock_now()
local lease = redis.call('ZSCORE', k_workers, a_incarnation)
local left = lease and tonumber(lease) >= now and a_want - redis.call('ZCARD', k_sent) or 0
for i = 5, #ARGV do
  local first = 9 + 3 * (i - 5)
  local turns, parked, window = KEYS[first], KEYS[first + 1], KEYS[first + 2]
  local turn = left > 0 and redis.call('HGET', k_windows, ARGV[i]) ~= '0' and redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES') or {}
  while left > 0 and turn[1] do
    local job_id, record = next_record(turn[1], parked)
    next_turn(turns, turn[1], tonumber(turn[2]), record, NEW_ON_ROUTE)
    if record then left = left - send(job_id, record, window, now, a_cause, k_list, k_sent) end
    turn = redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')
  end
end
return {'TAKEN'}
