-- find_expired: runs of a tenant that have been kept long enough, or are too many, the first to have ended first; and those that were set aside, by when.
-- KEYS ended needed clock
-- ARGV keep_ms keep_count limit
-- REPLY FOUND
-- include clock
local old = redis.call('ZCOUNT', k_ended, '-inf', string.format('%.0f', clock_now() - tonumber(a_keep_ms)))
local extra = redis.call('ZCARD', k_ended) - tonumber(a_keep_count)
local most = math.min(math.max(old, extra, 0), tonumber(a_limit))
local found = most > 0 and redis.call('ZRANGE', k_ended, 0, most - 1) or {}
return {'FOUND', found, redis.call('ZRANGE', k_needed, 0, tonumber(a_limit) - 1)}
