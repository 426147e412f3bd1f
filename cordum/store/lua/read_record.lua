-- read_record: the time and one record; empty when there is none.
-- KEYS record clock
-- ARGV
-- REPLY RECORD
-- include clock
return {'RECORD', string.format('%.0f', clock_now()), redis.call('HGETALL', k_record)}
