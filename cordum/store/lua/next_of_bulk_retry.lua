-- next_of_bulk_retry: the dead letters whose turn it is by now, and how many came before them; nothing is changed.
-- KEYS bulk letters clock
-- ARGV most
-- REPLY LETTERS
-- include clock
local now, next_at = clock_now(), tonumber(redis.call('HGET', k_bulk, 'next_at') or '0')
local position = tonumber(redis.call('HGET', k_bulk, 'position') or '0')
if redis.call('HGET', k_bulk, 'state') ~= 'running' or next_at > now then return {'LETTERS', position} end
local count = math.min(tonumber(a_most), 1 + math.floor((now - next_at) * tonumber(redis.call('HGET', k_bulk, 'rate')) / 1000))
return {'LETTERS', position, unpack(redis.call('LRANGE', k_letters, position, position + count - 1))}
