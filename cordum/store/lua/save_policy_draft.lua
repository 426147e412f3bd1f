-- save_policy_draft: keep a policy that somebody is working on; it decides nothing.
-- KEYS drafts clock
-- ARGV id digest actor source
-- REPLY SAVED
-- include clock
redis.call('HSET', k_drafts, a_id, string.format('%.0f', clock_now()) .. '\n' .. a_digest .. '\n' .. a_actor .. '\n' .. a_source)
return {'SAVED'}
