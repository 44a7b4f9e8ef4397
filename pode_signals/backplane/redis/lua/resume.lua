-- Reads a log, for positions that clients offer. It writes nothing.
--
-- KEYS 1 the stream, 2 the hash beside it
-- ARGV 1 and 2 the epoch and the id of the position, 3 the id of the last entry that is wanted, or '+' for all, 4
--      how many entries, one at least
-- gives {1, epoch, entries}: both are in the log, and these entries follow; or {0, epoch, {}}
local m = redis.call('HMGET', KEYS[2], 'e', 'top', 'floor')
local e, top, floor = m[1], m[2] or '0-0', m[3] or '0-0'
-- With a place that no node has written, as where there is no log.
local function is_id(x) return string.find(x, '^%d+%-%d+$') end
if not (is_id(top) and is_id(floor)) then return {0, '', {}} end
if not e or e ~= ARGV[1] then return {0, e or '', {}} end
if redis.call('XLEN', KEYS[1]) == 0 then floor = top end
local function has(x) return x == top or x == floor or #redis.call('XRANGE', KEYS[1], x, x) == 1 end
local function seq_of(x) return tonumber(string.match(x, '^(%d+)-')) end
if not has(ARGV[2]) then return {0, e, {}} end
-- An end that was dropped is before all that is kept.
if ARGV[3] ~= '+' and not has(ARGV[3]) and seq_of(ARGV[3]) >= seq_of(floor) then return {0, e, {}} end
return {1, e, redis.call('XRANGE', KEYS[1], '(' .. ARGV[2], ARGV[3], 'COUNT', ARGV[4])}
