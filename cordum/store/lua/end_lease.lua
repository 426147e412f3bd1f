-- end_lease: a worker incarnation is over (it said so, or its successor did); what it holds can be freed at once.
-- KEYS workers
-- ARGV incarnation
-- REPLY ENDED UNKNOWN
if not redis.call('ZSCORE', k_workers, a_incarnation) then return {'UNKNOWN'} end
redis.call('ZADD', k_workers, 'XX', '0', a_incarnation)
return {'ENDED'}
