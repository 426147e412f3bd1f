-- release_topic: give a topic's free places to its ready jobs; normally whoever frees a place has done so already.
-- KEYS clock parked windows window turns
-- ARGV topic minimum
-- REPLY RELEASED
-- include clock timeline release
if redis.call('ZCARD', k_turns) > 0 then release(a_topic, k_window, k_turns, clock_now(), a_minimum) end
return {'RELEASED'}
