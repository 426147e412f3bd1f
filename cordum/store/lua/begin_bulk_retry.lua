-- begin_bulk_retry: write down that these dead letters are to be tried again, one after the other.
-- KEYS bulk letters bulks bulks_of letter_tenants clock audit audited
-- ARGV id rate tenant event ...
-- REPLY BEGUN EXISTS
-- include clock audit
local names = tonumber(ARGV[5])
if redis.call('EXISTS', k_bulk) == 1 then return {'EXISTS'} end -- guard: bulk_is_new
local moment = clock_now()
local now = string.format('%.0f', moment)
local first = 6 + names
local total = #ARGV - first + 1
redis.call('HSET', k_bulk, 'id', a_id, 'rate', a_rate, 'total', total, 'position', 0, 'next_at', now, 'begun_at', now, unpack(ARGV, 6, first - 1))
for at = first, #ARGV, 1000 do redis.call('RPUSH', k_letters, unpack(ARGV, at, math.min(at + 999, #ARGV))) end
redis.call('ZADD', k_bulks_of, now, a_id)
redis.call('HSETNX', k_letter_tenants, a_tenant, 0)
if total > 0 then
  redis.call('HSET', k_bulk, 'state', 'running')
  redis.call('SADD', k_bulks, a_id)
else
  redis.call('HSET', k_bulk, 'state', 'done', 'ended_at', now)
end
audit(a_tenant, moment, 'bulk_retry:' .. a_id, {a_event})
return {'BEGUN'}
