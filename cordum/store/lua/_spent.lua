-- spent: drop what only an attempt that is under way needs; for ended runs, which are most of what is kept, it would be a tenth of their memory.
local function spent_fields(names, refs)
  local fields = {}
  for _, ref in ipairs(refs) do
    for _, name in ipairs(names) do fields[#fields + 1] = ref .. '#' .. name end
  end
  return fields
end

local function drop_spent(fields)
  for first = 1, #fields, 1000 do redis.call('HDEL', k_facts, unpack(fields, first, math.min(first + 999, #fields))) end
end
