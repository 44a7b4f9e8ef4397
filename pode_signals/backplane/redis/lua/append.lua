-- Appends an entry to the log of a name, once however often the call is repeated, and publishes the entry.
--
-- KEYS 1 the stream, 2 the hash beside it
-- ARGV 1 the channel, 2 the epoch where the log has none yet, 3 the incarnation of the writer, 4 the number of the
--      entry, which counts up by 1 for each incarnation, 5 a random salt, 6 the entry, 7 to 9 how many entries, bytes
--      and milliseconds are kept, or three empty texts where the writer does not know, 10 how many milliseconds the hash is kept, 11 and 12 the epoch and the id of the
--      highest entry that the writer has seen, or two empty texts, 13 how many bytes the entry counts
-- gives {1, epoch, id}: appended
--       {0, epoch, id}: this entry was in the log already; the id is that of the writer's last entry
--       {-1, epoch, top}: the log lacks what it had; nothing was written
--       {-3, epoch, top}: this incarnation was closed; nothing was written
--       {-5, '', ''}: the writer does not know how much is kept, and there is no log; nothing was written
local m = redis.call('HMGET', KEYS[2], 'e', 's', 'top', 'floor', 'b', 'w:' .. ARGV[3], 'l')
local e, s, top, floor, b = m[1], tonumber(m[2]) or 0, m[3] or '0-0', m[4] or '0-0', tonumber(m[5]) or 0
-- A hash that no node has written is none: a node, and not whoever has written it, says where the log is.
local function is_id(x) return string.find(x, '^%d+%-%d+$') end
if e and not (string.find(e, '^[a-z0-9]+$') and is_id(top) and is_id(floor) and s >= 0 and s < 9007199253740992) then
  e, s, top, floor = false, 0, '0-0', '0-0'
end
local n, last = tonumber(ARGV[4]), nil
if m[6] then
  if string.sub(m[6], 1, 6) == 'closed' then return {-3, e or '', top} end
  local c, id = string.match(m[6], '^(%d+):(%d+%-%d+)')
  last = tonumber(c)
  if n <= last then return {0, e or '', id} end
end
local most, most_bytes, age_ms = ARGV[7], ARGV[8], ARGV[9]
if most == '' then
  -- As the nodes say that follow the name.
  most, most_bytes, age_ms = string.match(m[7] or '', '^(%d+) (%d+) (%d+)$')
  if not (e and most) then return {-5, '', ''} end
end
if n ~= (last or 0) + 1 then return {-1, e or '', top} end
if ARGV[12] ~= '' then
  if ARGV[11] ~= (e or '') then return {-1, e or '', top} end
  local q = tonumber(string.match(ARGV[12], '^(%d+)-'))
  if q > s or (q == s and q > 0 and ARGV[12] ~= top) then return {-1, e, top} end
end
-- What is left of a log whose hash is gone has nothing to do with the new epoch.
if not e then e = ARGV[2] redis.call('UNLINK', KEYS[1]) end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local len = redis.call('XLEN', KEYS[1])
if len == 0 then floor = top b = 0 end
-- Not by Lua's own conversion, which writes large numbers with an exponent.
local seq, ms = string.format('%.0f', s + 1), string.format('%.0f', now)
local id = seq .. '-' .. ARGV[5]
redis.call('XADD', KEYS[1], id, 't', ms, 'd', ARGV[6], 'b', ARGV[13])
len = len + 1
b = b + ARGV[13]
local oldest = now - tonumber(age_ms)
most, most_bytes = tonumber(most), tonumber(most_bytes)
local over, count = true, 2
while over do
  local page = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', count)
  count = 32
  for _, f in ipairs(page) do
    local at, size = tonumber(f[2][2]), tonumber(f[2][6] or '')
    -- One without these was not written by a node.
    over = f[1] ~= id and (not (at and size) or len > most or b > most_bytes or at < oldest)
    if not over then break end
    redis.call('XDEL', KEYS[1], f[1])
    len = len - 1
    b = b - (size or 0)
    -- Entries of an epoch that has ended may still be there, below the place where this one begins.
    if tonumber(string.match(f[1], '^(%d+)-')) > tonumber(string.match(floor, '^(%d+)-')) then floor = f[1] end
  end
end
redis.call('HSET', KEYS[2], 'e', e, 's', seq, 'top', id, 'floor', floor, 'b', b,
  'w:' .. ARGV[3], ARGV[4] .. ':' .. id .. ':' .. ms)
if (s + 1) % 1000 == 0 then
  local h = redis.call('HGETALL', KEYS[2])
  for i = 1, #h, 2 do
    local at = string.sub(h[i], 1, 2) == 'w:' and tonumber(string.match(h[i + 1], ':(%d+)$'))
    if at and at < now - 3600000 then redis.call('HDEL', KEYS[2], h[i]) end
  end
end
redis.call('PEXPIRE', KEYS[2], ARGV[10])
redis.call('PEXPIRE', KEYS[1], age_ms)
-- Last, and without a failure: a script is not rolled back, and the entry is in the log by now.
redis.pcall('PUBLISH', ARGV[1], 'l' .. e .. ' ' .. id .. ' ' .. ARGV[6])
return {1, e, id}
