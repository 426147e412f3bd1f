-- set_windows: how many unfinished messages each of these topics may have. That of a paused topic stays closed.
-- KEYS windows paused
-- ARGV ...
-- REPLY SET
for i = 1, #ARGV, 2 do
  if redis.call('HEXISTS', k_paused, ARGV[i]) == 0 then redis.call('HSET', k_windows, ARGV[i], ARGV[i + 1]) end
end
return {'SET'}
