-- read_schedule: the time and one schedule; empty when there is none.
-- KEYS schedule clock
-- ARGV
-- REPLY SCHEDULE
-- include clock
return {'SCHEDULE', string.format('%.0f', clock_now()), redis.call('HGETALL', k_schedule)}
