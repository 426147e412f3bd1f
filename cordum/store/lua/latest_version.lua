-- latest_version: the newest version of a workflow, without its document.
-- KEYS workflow
-- ARGV
-- REPLY FOUND NOT_FOUND
local version = redis.call('HGET', k_workflow, 'latest')
if not version then return {'NOT_FOUND'} end
return {'FOUND', version, redis.call('HGET', k_workflow, 'version:' .. version)}
