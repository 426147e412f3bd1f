-- create_alike: store several runs that begin alike, each with everything its first plan decided, once for an idempotency key. What they have
-- alike comes once; where it names a run, `mark` stands for its id. Each run is answered for itself: its word, and the id of the run that counts.
-- KEYS clock policy timers windows wakeups coordinator stats open_runs_of audit audited runs runs_of workflow template ...
-- ARGV plan mark digest ttl_sec message ...
-- REPLY ANSWERED EXISTS REPLAYED KEY_REUSED POLICY_CHANGED WORKFLOW_GONE
-- include clock timeline audit wake release begin
local plan = cjson.decode(a_plan)
local refused = outdated(a_digest, plan.epoch)
local now, at, key = clock_now(), 6, plan.first_key
local moment, deadline = string.format('%.0f', now), string.format('%.0f', now + plan.lasts_ms)

-- So many texts of all runs: `holes` are those in which ids stand, as the pieces between them.
local function alike(count)
  local texts, holes = {unpack(ARGV, at, at + count - 1)}, {}
  for i, text in ipairs(texts) do
    local first, from = string.find(text, a_mark, 1, true), 1
    if first then
      local pieces = {}
      while first do
        pieces[#pieces + 1] = string.sub(text, from, first - 1)
        from = first + #a_mark
        first = string.find(text, a_mark, from, true)
      end
      pieces[#pieces + 1] = string.sub(text, from)
      holes[#holes + 1] = {at = i, pieces = pieces}
    end
  end
  at = at + count
  return {texts = texts, holes = holes}
end

local function of_run(group, run_id)
  for _, hole in ipairs(group.holes) do group.texts[hole.at] = table.concat(hole.pieces, run_id) end
  return group.texts
end

local fields, marks, facts = alike(plan.fields), alike(plan.steps), alike(plan.facts)
-- What is foreseen of them they keep together: it would be the greatest part of what is written for each.
local first_shared = at
at = at + plan.prepared
local function keep_shared()
  if redis.call('EXISTS', k_template) == 0 then redis.call('HSET', k_template, '', a_mark, unpack(ARGV, first_shared, first_shared + plan.prepared - 1)) end
  redis.call('PEXPIRE', k_template, plan.shared_ms)
end

local events, records = alike(plan.events), alike(#plan.jobs)
for _, job in ipairs(plan.jobs) do
  facts.texts[#facts.texts + 1] = job.step .. '#ready_at'
  facts.texts[#facts.texts + 1] = moment
end

-- Its arguments are its id and its input, what was asked for if its submitter named a key, then for each job its input (empty: that
-- of the run) and its decision, and what is foreseen of steps that vary.
local ids, by_time, by_deadline, subjects, told, waits = {}, {}, {}, {}, {}, {}
local function create(run_id, fingerprint)
  local run, steps, facts_of, inputs, timeline, prepared_of = unpack(KEYS, key, key + 5)
  local own = at + (plan.keyed and 3 or 2)
  redis.call('HSET', run, 'input', ARGV[at + 1], 'deadline', deadline, 'created_at', moment, 'updated_at', moment, unpack(of_run(fields, run_id)))
  redis.call('HSET', steps, unpack(of_run(marks, run_id)))
  redis.call('HSET', facts_of, unpack(of_run(facts, run_id)))
  of_run(events, run_id)
  for i, job in ipairs(plan.jobs) do
    if job.given then redis.call('HSET', inputs, job.step, ARGV[own]) end
    events.texts[job.decision] = ARGV[own + 1]
    own = own + 2
  end
  local foreseen = {}
  for i, step in ipairs(plan.varying) do foreseen[2 * i - 1], foreseen[2 * i] = step, ARGV[own + i - 1] end
  if #foreseen > 0 then redis.call('HSET', prepared_of, unpack(foreseen)) end
  tell(timeline, now, unpack(events.texts))
  for _, number in ipairs(plan.audited) do
    subjects[#subjects + 1] = 'run:' .. run_id
    told[#told + 1] = events.texts[number]
  end
  of_run(records, run_id)
  for i, job in ipairs(plan.jobs) do
    local topic = plan.topics[job.topic]
    set_out(run_id .. job.id, records.texts[i], topic.name, job.priority, KEYS[topic.window], KEYS[topic.turns], KEYS[topic.parked],
      KEYS[job.ready], now, plan.window)
  end
  if fingerprint ~= '' then redis.call('SET', KEYS[key + 6], run_id .. ' ' .. fingerprint, 'EX', a_ttl_sec) end
  ids[#ids + 1] = run_id
  by_time[#by_time + 1], by_time[#by_time + 2] = moment, run_id
  by_deadline[#by_deadline + 1], by_deadline[#by_deadline + 2] = deadline, run_id
end

local answers = {}
for _ = 1, plan.runs do
  local run_id = ARGV[at]
  local fingerprint = plan.keyed and ARGV[at + 2] or ''
  local known = known_already(KEYS[key], fingerprint ~= '' and KEYS[key + 6], fingerprint) or refused
  if not known then create(run_id, fingerprint) end
  answers[#answers + 1] = known and known[1] or 'CREATED'
  answers[#answers + 1] = known and known[2] or run_id
  at = at + (plan.keyed and 3 or 2) + 2 * #plan.jobs + #plan.varying
  key = key + (plan.keyed and 7 or 6)
end
if #ids == 0 then return {'ANSWERED', unpack(answers)} end
if plan.prepared > 0 then keep_shared() end
for _, topic in ipairs(plan.topics) do
  release(topic.name, KEYS[topic.window], KEYS[topic.turns], KEYS[topic.parked], now, plan.window)
end
audit(plan.tenant, now, subjects, told)
for _, counted in ipairs(plan.counts) do redis.call('HINCRBY', k_stats, counted[1], counted[2] * #ids) end
redis.call('SADD', k_open_runs_of, unpack(ids))
redis.call('ZADD', k_runs, unpack(by_time))
redis.call('ZADD', k_runs_of, unpack(by_time))
redis.call('ZADD', k_timers, 'LT', unpack(by_deadline))
return {'ANSWERED', unpack(answers)}
