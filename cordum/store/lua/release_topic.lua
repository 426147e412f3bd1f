-- release_topic: give a topic's free places to its ready jobs; normally whoever frees a place has done so already.
-- KEYS clock parked windows window turns policy wakeups coordinator
-- ARGV topic minimum message
-- REPLY RELEASED
-- include clock timeline wake release
release(a_topic, k_window, k_turns, k_parked, clock_now(), a_minimum)
return {'RELEASED'}
