-- read_api_key: the time, how many keys there are, and the record of one.
-- KEYS api_key api_keys clock
-- ARGV
-- REPLY KEY
-- include clock
return {'KEY', string.format('%.0f', clock_now()), redis.call('ZCARD', k_api_keys), redis.call('HGETALL', k_api_key)}
