-- spent: drop what only an attempt that is under way needs; for ended runs, which are most of what is kept, it would be a tenth of their memory.
local function drop_spent(names)
  local fields = {}
  for _, ref in ipairs(redis.call('HKEYS', k_steps)) do
    for _, name in ipairs(names) do fields[#fields + 1] = ref .. '#' .. name end
    if #fields > 1000 then
      redis.call('HDEL', k_facts, unpack(fields))
      fields = {}
    end
  end
  if #fields > 0 then redis.call('HDEL', k_facts, unpack(fields)) end
end
