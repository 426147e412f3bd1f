-- take_messages: the oldest messages of some lists, at most so many: a higher priority first, lists of one priority in turn.
-- KEYS ...
-- ARGV want lists
-- REPLY TAKEN
-- The keys are the lists of the highest priority (`lists` of them), then those of the next one. A message is given with its list's number.
local want, lists = 2 * tonumber(a_want), tonumber(a_lists)
local taken = {}
for first = 1, #KEYS, lists do
  local open = {}
  for number = first, first + lists - 1 do open[#open + 1] = number end
  while #open > 0 and #taken < want do
    local more = {}
    for _, number in ipairs(open) do
      local message = #taken < want and redis.call('RPOP', KEYS[number])
      if message then
        taken[#taken + 1] = number
        taken[#taken + 1] = message
        more[#more + 1] = number
      end
    end
    open = more
  end
end
return {'TAKEN', taken}
