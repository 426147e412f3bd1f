-- read_run: one consistent snapshot. Reading the hashes one by one could show a step as succeeded and its output as missing.
-- KEYS run steps facts outputs clock policy
-- ARGV
-- REPLY FOUND NOT_FOUND
-- include clock
local run = redis.call('HGETALL', k_run)
if #run == 0 then return {'NOT_FOUND'} end
return {
  'FOUND',
  string.format('%.0f', clock_now()),
  redis.call('HGET', k_policy, 'epoch') or '0',
  run,
  redis.call('HGETALL', k_steps),
  redis.call('HGETALL', k_facts),
  redis.call('HGETALL', k_outputs),
}
