-- release_route: send what waits for certain workers to those that have room now; a route on which nothing waits is forgotten.
-- KEYS clock workers windows routes turns parked window policy wakeups coordinator ...
-- ARGV route topic targets cause message
-- REPLY RELEASED
-- include clock timeline wake release route
release_route(a_topic, k_turns, k_parked, k_window, cjson.decode(a_targets), clock_now(), a_cause)
if redis.call('EXISTS', k_turns) == 0 then redis.call('SREM', k_routes, a_route) end
return {'RELEASED'}
