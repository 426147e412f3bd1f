-- snapshot: all of a run at one moment. Reading its hashes one by one could show a step as succeeded and its output as missing.
local function snapshot(now)
  return {
    string.format('%.0f', now),
    redis.call('HGET', k_policy, 'epoch') or '0',
    redis.call('HGETALL', k_run),
    redis.call('HGETALL', k_steps),
    redis.call('HGETALL', k_facts),
    redis.call('HGETALL', k_outputs),
    redis.call('HGETALL', k_context),
    redis.call('HGETALL', k_inbox),
  }
end
