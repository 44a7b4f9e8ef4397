#!lua flags=allow-oom
-- An incarnation of a writer ends: it appends nothing any more, be it only on its way to a Redis that was stalled.
--
-- KEYS 1 the stream, 2 the hash beside it
-- ARGV 1 the incarnation, 2 how many milliseconds the hash is kept
-- gives '<number>:<id>:<ms>' of the incarnation's last entry; '' where it has none
local was = redis.call('HMGET', KEYS[2], 'w:' .. ARGV[1])[1] or ''
if string.sub(was, 1, 6) == 'closed' then return string.match(was, '^closed:(.*):%d+$') end
local t = redis.call('TIME')
local ms = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
redis.call('HSET', KEYS[2], 'w:' .. ARGV[1], 'closed:' .. was .. ':' .. ms)
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return was
