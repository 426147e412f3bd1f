-- Everything that tests compare, in one look. ARGV: a JSON document {cell, tenants, queues, topics, workers, runs}.
-- Tests may build keys; the scripts of the store may not.
local asked = cjson.decode(ARGV[1])
local function key(...) return table.concat({'cordum', asked.cell, ...}, ':') end
local function run_of(job_id) return 'cordum:run:{' .. string.match(job_id, '^([^:]+):') .. '}' end
local function each(names, look)
  local found = {}
  for i, name in ipairs(names) do found[i] = look(name) end
  return found
end
local all = {runs = each(asked.runs, function(id)
  local run = 'cordum:run:{' .. id .. '}'
  return {
    redis.call('HGETALL', run), redis.call('HGETALL', run .. ':steps'), redis.call('HGETALL', run .. ':facts'),
    redis.call('HGETALL', run .. ':outputs'), redis.call('ZSCORE', key('wakeups'), id), redis.call('ZSCORE', key('timers'), id),
  }
end)}
local approvals, dead, open, letters = {}, {}, {}, {}
for _, tenant in ipairs(asked.tenants) do
  for _, job_id in ipairs(redis.call('ZRANGE', key('approvals', tenant), 0, -1)) do
    approvals[#approvals + 1] = {job_id, redis.call('HGET', run_of(job_id) .. ':approval:' .. job_id, 'state')}
  end
  for _, job_id in ipairs(redis.call('ZRANGE', key('approvals', tenant, 'open'), 0, -1)) do open[#open + 1] = job_id end
  for _, job_id in ipairs(redis.call('ZRANGE', key('dead_letters', tenant), 0, -1)) do
    local record = redis.call('HMGET', run_of(job_id) .. ':dead_letter:' .. job_id, 'status', 'reason_code', 'rescued')
    dead[#dead + 1] = {job_id, record[1], record[2], record[3]}
  end
  for _, entry in ipairs(redis.call('ZRANGE', key('dead_letters', tenant, 'open'), 0, -1)) do
    letters[#letters + 1] = string.match(entry, '^%x+|%d+|(.+)$')
  end
end
return {
  all.runs, approvals, open, redis.call('ZRANGE', key('approvals'), 0, -1), dead,
  each(asked.queues, function(queue)
    local jobs = each(redis.call('LRANGE', queue, 0, -1), function(message) return string.match(message, '"id":%s*"([^"]+)"') end)
    return {jobs, redis.call('ZRANGE', key('sent', queue), 0, -1, 'WITHSCORES')}
  end),
  each(asked.topics, function(topic) return redis.call('SMEMBERS', key('window', topic)) end),
  each(asked.workers, function(worker)
    return {redis.call('SMEMBERS', key('held', worker)), redis.call('LRANGE', key('stops', worker), 0, -1)}
  end),
  redis.call('ZRANGE', key('workers'), 0, -1, 'WITHSCORES'),
  redis.call('LLEN', 'cordum.coordinator'),
  letters,
}
