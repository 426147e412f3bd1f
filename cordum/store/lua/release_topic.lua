-- release_topic: give a topic's free places to its ready jobs; normally whoever frees a place has done so already.
-- KEYS clock parked windows window turns
-- ARGV topic minimum
-- REPLY RELEASED
-- include clock timeline release
release(a_topic, k_window, k_turns, k_parked, clock_now(), a_minimum)
return {'RELEASED'}
