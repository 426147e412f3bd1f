-- read_figures: what /metrics needs of a cell at one moment; what it needs of each topic and worker is read afterwards.
-- KEYS clock stats topics workers wakeups asked letter_tenants
-- ARGV
-- REPLY FIGURES
-- include clock
local now = string.format('%.0f', clock_now())
return {
  'FIGURES',
  now,
  redis.call('HGETALL', k_stats),
  redis.call('SMEMBERS', k_topics),
  redis.call('ZRANGEBYSCORE', k_workers, now, '+inf'),
  redis.call('ZCARD', k_wakeups),
  redis.call('ZCARD', k_asked),
  redis.call('ZRANGE', k_asked, 0, 0, 'WITHSCORES'),
  redis.call('HVALS', k_letter_tenants),
}
