-- afterwards: what several results of one call leave to be done is done once, when all are written down.
local no_more_held, audited, counted, ended = {}, {}, {}, {}

-- It gives its place away, and is not held by its worker any more.
local function leave_afterwards(way, job_id)
  way.left[#way.left + 1], no_more_held[#no_more_held + 1] = job_id, job_id
  if way.room then way.room = way.room + 1 end
  way.freed = true
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

-- The run stands in no list of those that go on. `form`: see `straight`.
local function end_afterwards(form, run_id, moment)
  local entry = entry_of(ended, form.open_runs, {form = form, ids = {}, times = {}})
  entry.ids[#entry.ids + 1] = run_id
  entry.times[#entry.times + 1], entry.times[#entry.times + 2] = moment, run_id
end

local function finish(moment, minimum)
  if #no_more_held > 0 then redis.call('SREM', k_held, unpack(no_more_held)) end
  serve_lines(moment, minimum)
  for _, entry in ipairs(ended) do
    local form = entry.form
    redis.call('ZADD', form.ended, unpack(entry.times))
    redis.call('ZADD', form.keepers, 'NX', moment, form.tenant)
    redis.call('SREM', form.open_runs, unpack(entry.ids))
    redis.call('ZREM', form.timers, unpack(entry.ids))
  end
  for _, entry in ipairs(audited) do
    local records = entry.records
    local before = redis.call('HINCRBY', entry.numbers, entry.tenant, #records) - #records
    for i, record in ipairs(records) do records[i] = before + i .. ' ' .. moment .. ' ' .. record end
    redis.call('RPUSH', entry.list, unpack(records))
  end
  for _, entry in ipairs(counted) do redis.call('HINCRBY', k_stats, entry.what, entry.times) end
end
