-- delete_policy_draft: forget a draft. A repeated call, after a lost reply, finds none.
-- KEYS drafts clock audit audited
-- ARGV id tenant event
-- REPLY DELETED NOT_FOUND
-- include clock audit
if redis.call('HDEL', k_drafts, a_id) == 0 then return {'NOT_FOUND'} end
audit(a_tenant, clock_now(), 'policy_draft:' .. a_id, {a_event})
return {'DELETED'}
