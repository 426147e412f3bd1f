-- save_policy_draft: keep a policy that somebody is working on; it decides nothing.
-- KEYS drafts clock audit audited
-- ARGV id digest actor source tenant event
-- REPLY SAVED
-- include clock audit
local now = clock_now()
redis.call('HSET', k_drafts, a_id, string.format('%.0f', now) .. '\n' .. a_digest .. '\n' .. a_actor .. '\n' .. a_source)
audit(a_tenant, now, 'policy_draft:' .. a_id, {a_event})
return {'SAVED'}
