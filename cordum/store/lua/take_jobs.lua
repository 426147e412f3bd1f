-- take_jobs: the oldest messages of some lists, at most so many, and of each that is plainly a job's the claim at once.
-- KEYS clock policy workers worker held timers ...
-- ARGV want lists turn nonce incarnation actor envelope run_before run_after steps_after facts_after inputs_after timeline_after ...
-- REPLY TAKEN OVERTAKEN CLAIMED STALE NO_LEASE POLICY_CHANGED PAUSED
-- include clock claim
-- The further keys are the lists of the highest priority (`lists` of them), those of the next one and so on, then what was sent to each;
-- the further arguments are the topics of which jobs are claimed, or nothing, for the lists of one priority. A higher priority goes first,
-- lists of one priority in turn. What is not claimed is given as it came, with its list's number: claim.lua says why not, or it is no job.
-- Whose run it is is known only when a message has been taken, so these keys are put together here.
local FIXED = 6
local want, lists, turn = tonumber(a_want), tonumber(a_lists), tonumber(a_turn)
local now, moment = clock_now()
local count = (#KEYS - FIXED) / 2

local function keys_of(run_id)
  local before = a_run_before .. run_id
  return {
    run = before .. a_run_after, steps = before .. a_steps_after, facts = before .. a_facts_after, inputs = before .. a_inputs_after,
    timeline = before .. a_timeline_after,
  }
end

local function parsed(job_id)
  return string.match(job_id, '^([^:@]+):([^:@]+)@([1-9]%d*)$')
end

-- A turn is answered once: its repetition, after a reply that was lost, takes nothing and claims again what it claimed; so does one that
-- comes even later, when its worker knows the answer to another.
local last = tonumber(redis.call('HGET', k_worker, 'turn') or '0')
if turn < last then return {'OVERTAKEN'} end -- guard: turn_overtaken
if turn == last then -- guard: turn_taken
  local again = {}
  for _, job_id in ipairs(redis.call('SMEMBERS', k_held)) do
    local run_id, step, attempt = parsed(job_id)
    local own = keys_of(run_id)
    local state = state_of(own, step)
    if state.mark == 'running:' .. attempt and state.claim == a_nonce then -- guard: own_claim
      again[#again + 1] = {state.topic, state.priority, run_id, step, attempt, grant(own, state, run_of(own))}
    end
  end
  return {'TAKEN', again, {}}
end

-- The text of a job's message, as there is no other. The envelope's pieces, and which of them are the words of a job.
local pieces, places = {}, {id = {}, topic = {}, priority = {}}
for piece in string.gmatch(a_envelope, '[^@]+') do
  pieces[#pieces + 1] = piece
  if places[piece] then table.insert(places[piece], #pieces) end
end

local function message_of(job_id, topic, priority)
  for _, place in ipairs(places.id) do pieces[place] = job_id end
  for _, place in ipairs(places.topic) do pieces[place] = topic end
  for _, place in ipairs(places.priority) do pieces[place] = priority end
  return table.concat(pieces)
end

-- The job that a message names.
local function named_in(message)
  local _, before = string.find(message, '"id":"', 1, true)
  local after = before and string.find(message, '"', before + 1, true)
  return after and string.sub(message, before + 1, after - 1) or ''
end

local alive, epoch = has_lease(now), policy_epoch()

local begun, others, held, deadlines, known = {}, {}, {}, {}, {}

-- Whether a message's job has begun; nil: it is for others to say what it is.
local function claimed(message, topic)
  local job_id = named_in(message)
  local run_id, step, attempt = parsed(job_id)
  if not run_id or known[job_id] then return nil end
  local own = keys_of(run_id)
  local state = state_of(own, step)
  if state.topic ~= topic or message ~= message_of(job_id, topic, state.priority) then return nil end
  local run = run_of(own)
  if refusal(state, attempt, alive, run, epoch) then return nil end
  known[job_id] = true
  deadlines[#deadlines + 1], deadlines[#deadlines + 2] = begin(own, state, job_id, attempt, a_nonce, now, moment), run_id
  begun[#begun + 1] = {topic, state.priority, run_id, step, attempt, grant(own, state, run)}
  return job_id
end

-- So many of a list, or what it has; whether there may be more.
local function take(number, most)
  local messages = redis.call('RPOP', KEYS[FIXED + number], most) or {}
  if #messages > 0 and #begun + #others == 0 then redis.call('HSET', k_worker, 'turn', a_turn) end
  local gone = {}
  for _, message in ipairs(messages) do
    local job_id = claimed(message, ARGV[14 + (number - 1) % lists])
    if job_id then gone[#gone + 1], held[#held + 1] = job_id, job_id else others[#others + 1] = {number, message} end
  end
  if #gone > 0 then redis.call('ZREM', KEYS[FIXED + count + number], unpack(gone)) end
  return #messages == most
end

for first = 1, count, lists do
  local open = {}
  -- Most rows are empty: that takes one command to see.
  if redis.call('EXISTS', unpack(KEYS, FIXED + first, FIXED + first + lists - 1)) > 0 then
    for number = first, first + lists - 1 do open[#open + 1] = number end
  end
  while #open > 0 and #begun + #others < want do
    local more, each = {}, math.max(math.floor((want - #begun - #others) / #open), 1)
    for _, number in ipairs(open) do
      if #begun + #others < want and take(number, each) then more[#more + 1] = number end
    end
    open = more
  end
end
if #held > 0 then
  write_begun()
  redis.call('SADD', k_held, unpack(held))
  redis.call('ZADD', k_timers, 'LT', unpack(deadlines))
end
return {'TAKEN', begun, others}
