-- read_run: one consistent snapshot of a run.
-- KEYS run steps facts outputs context inbox clock policy
-- ARGV
-- REPLY FOUND NOT_FOUND
-- include clock snapshot
if redis.call('EXISTS', k_run) == 0 then return {'NOT_FOUND'} end
return {'FOUND', snapshot(clock_now())}
