-- count: one more of something, for /metrics; `what` is a field of the counters, and never names a run, a person or a worker.
local function count(what)
  redis.call('HINCRBY', k_stats, what, '1')
end
