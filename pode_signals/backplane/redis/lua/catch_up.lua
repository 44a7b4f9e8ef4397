#!lua flags=allow-oom
-- What a node lacks of a log. Only a node asks, with a position that it got from Redis itself: the position of a client
-- that it has made up would begin a new epoch for everybody.
--
-- KEYS 1 the stream, 2 the hash beside it
-- ARGV 1 the channel, 2 and 3 the epoch and the id of the node's position, or two empty texts where it has none, 4 the epoch where
--      one begins, 5 how many entries are given at most, 6 how many milliseconds the hash is kept, 7 how much the log
--      keeps: how many entries, bytes and milliseconds, 8 an id that the log
--      has told the node of, 9 and more the ids that the node has seen last, the latest first; none where it was not
--      asked for them
-- gives {code, epoch, top, from, entries}: the entries after `from`, as far as there is room
--       0: this is where the node begins; `from` is the top
--       1: the log has all that came after the node's position
--      -1: the log went back, or it is another one
--      -2: entries that the node has not seen were dropped
--      -4: the log went back, and nothing was done yet: the node shall ask again, with the ids that it has seen
local m = redis.call('HMGET', KEYS[2], 'e', 's', 'top', 'floor')
local e, s, top, floor = m[1], tonumber(m[2]) or 0, m[3] or '0-0', m[4] or '0-0'
-- A hash that no node has written is none: a node, and not whoever has written it, says where the log is.
local function is_id(x) return string.find(x, '^%d+%-%d+$') end
if e and not (string.find(e, '^[a-z0-9]+$') and is_id(top) and is_id(floor) and s >= 0 and s < 9007199253740992) then
  e, s, top, floor = false, 0, '0-0', '0-0'
end
local mine, id = ARGV[2], ARGV[3]
local function begin(epoch, seq)
  local base = seq == 0 and '0-0' or string.format('%.0f', seq) .. '-0'
  redis.call('HSET', KEYS[2], 'e', epoch, 's', string.format('%.0f', seq), 'top', base, 'floor', base)
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
  return base
end
if not e then
  -- What is left of a log whose hash is gone has nothing to do with the new epoch.
  redis.call('UNLINK', KEYS[1])
  local base = begin(ARGV[4], 0)
  redis.call('HSET', KEYS[2], 'l', ARGV[7])
  return {mine == '' and 0 or -1, ARGV[4], base, base, {}}
end
redis.call('PEXPIRE', KEYS[2], ARGV[6])
redis.call('HSET', KEYS[2], 'l', ARGV[7])
if mine == '' then return {0, e, top, top, {}} end
if redis.call('XLEN', KEYS[1]) == 0 then floor = top end
local function seq_of(x) return tonumber(string.match(x, '^(%d+)-')) end
local function is_there(x) return #redis.call('XRANGE', KEYS[1], x, x) == 1 end
local function after(from) return redis.call('XRANGE', KEYS[1], '(' .. from, '+', 'COUNT', ARGV[5]) end
local function has(x) return x == top or x == floor or is_there(x) end
local is_known = has(id)
if e ~= mine then
  local from = is_known and id or floor
  return {-1, e, top, from, after(from)}
end
local q, w = seq_of(id), seq_of(ARGV[8])
if has(ARGV[8]) or w < seq_of(floor) then
  if is_known then return {1, e, top, id, after(id)} end
  if q < seq_of(floor) then return {-2, e, top, floor, after(floor)} end
end
-- The node has seen what the log has not: the log went back. Its epoch ends, and every node tells its clients.
if #ARGV < 9 then return {-4, e, top, floor, {}} end
local base = begin(ARGV[4], math.max(s, q, w) + 1000)
-- The other nodes look as well. There is no entry in this.
redis.pcall('PUBLISH', ARGV[1], 'l' .. ARGV[4] .. ' ' .. base .. ' ')
-- Others may have appended to the log since it went back. Those entries stay in it.
for i = 9, #ARGV do
  if is_there(ARGV[i]) then return {-1, ARGV[4], base, ARGV[i], after(ARGV[i])} end
end
return {-1, ARGV[4], base, base, {}}
