-- All members of a name with their version, as they are at one moment, unless there are too many. It writes nothing.
--
-- KEYS 1 the members of the name, 2 the version of the members
-- ARGV 1 how many members are given at most
-- gives {version, number, {client id, value, …}}; without members where there are too many
local number = redis.call('HLEN', KEYS[1])
local all = number <= tonumber(ARGV[1]) and redis.call('HGETALL', KEYS[1]) or {}
return {redis.call('GET', KEYS[2]) or '0', number, all}
