-- seal: append the next links of a tenant's audit chain, unless another sealer has appended some since.
-- KEYS seals sealed
-- ARGV tenant expected ...
-- REPLY SEALED STALE
if redis.call('LLEN', k_seals) ~= tonumber(a_expected) then return {'STALE'} end -- guard: end_of_chain
redis.call('HSET', k_sealed, a_tenant, redis.call('RPUSH', k_seals, unpack(ARGV, 3)))
return {'SEALED'}
