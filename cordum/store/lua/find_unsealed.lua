-- find_unsealed: tenants whose audit has records that no link of the chain covers yet.
-- KEYS audited sealed
-- ARGV limit
-- REPLY FOUND
local counts = redis.call('HGETALL', k_audited)
local found = {}
for i = 1, #counts, 2 do
  if #found == tonumber(a_limit) then break end
  if (redis.call('HGET', k_sealed, counts[i]) or '0') ~= counts[i + 1] then found[#found + 1] = counts[i] end
end
return {'FOUND', found}
