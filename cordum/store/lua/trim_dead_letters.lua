-- trim_dead_letters: forget dead letters that were dealt with, which stays so; and say how many open ones are too many.
-- KEYS dead_letters open_letters handled_letters letter_tenants ...
-- ARGV tenant keep ...
-- REPLY TRIMMED
for number, job in ipairs({unpack(ARGV, 3)}) do
  redis.call('DEL', KEYS[4 + number])
  redis.call('ZREM', k_dead_letters, job)
  redis.call('ZREM', k_handled_letters, job)
end
redis.call('HSET', k_letter_tenants, a_tenant, math.max(redis.call('ZCARD', k_open_letters) - tonumber(a_keep), 0))
return {'TRIMMED'}
