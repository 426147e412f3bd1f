-- spent: drop what only an attempt that is under way needs; for ended runs, which are most of what is kept, it would be a tenth of their memory.
local function drop_spent(names)
  for _, ref in ipairs(redis.call('HKEYS', k_steps)) do
    local fields = {}
    for i, name in ipairs(names) do fields[i] = ref .. '#' .. name end
    redis.call('HDEL', k_facts, unpack(fields))
  end
end
