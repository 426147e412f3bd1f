-- afterwards: what several results of one call leave to be done is done once, when all are written down: free places are given away, the
-- audit and the counters go on.
local freed, audited, counted = {}, {}, {}

-- An entry of these that is known by this key; made if there is none yet.
local function entry_of(entries, key, made)
  if not entries[key] then entries[#entries + 1], entries[key] = made, made end
  return entries[key]
end

local function release_afterwards(topic, window, turns, parked)
  entry_of(freed, turns, {topic = topic, window = window, turns = turns, parked = parked})
end

-- For the tenant that what is prepared names: who records a result does not know it.
local function audit_afterwards(list, numbers, tenant, subject, events)
  local entry = entry_of(audited, list, {list = list, numbers = numbers, tenant = tenant, records = {}})
  for _, event in ipairs(events) do entry.records[#entry.records + 1] = subject .. event end
end

local function count(what)
  local entry = entry_of(counted, what, {what = what, times = 0})
  entry.times = entry.times + 1
end

local function finish(moment, minimum)
  for _, entry in ipairs(freed) do release(entry.topic, entry.window, entry.turns, entry.parked, moment, minimum) end
  for _, entry in ipairs(audited) do
    local records = entry.records
    local before = redis.call('HINCRBY', entry.numbers, entry.tenant, #records) - #records
    for i, record in ipairs(records) do records[i] = before + i .. ' ' .. moment .. ' ' .. record end
    redis.call('RPUSH', entry.list, unpack(records))
  end
  for _, entry in ipairs(counted) do redis.call('HINCRBY', k_stats, entry.what, entry.times) end
end
