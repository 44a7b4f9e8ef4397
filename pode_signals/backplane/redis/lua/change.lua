-- Members of one name come and go, as one node says. All changes are made, numbered and published as one.
--
-- KEYS 1 the nodes, 2 the members of the name, 3 the version of the members
-- ARGV 1 the channel of the name, 2 the name as it is in keys, 3 the incarnation of the node, 4 how many milliseconds the
--      version is kept, 5 and more: what to do, the client id, a value; in threes
--      j: joins, whoever held the id before. The value is the member.
--      n: joins, unless another node holds the id. The value is the member.
--      r: is told again by a node that held it before. The value is h or l, for held or leaving, and the member. Where
--         another node holds the id by now, the id stays there.
--      l: is leaving, and may come back. No value.
--      x: has left. No value.
-- gives {1, version, a number for each change}: 1 where another node held the id (j), or holds it still (n, r); else 0
--       {-1}: Redis does not know the incarnation, or it has ended. Nothing was done.
local inc = ARGV[3]
if not redis.call('ZSCORE', KEYS[1], inc) then return {-1} end
local node = string.match(inc, '^[^-]*')
local ids = {}
for i = 6, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
local was, is = {}, {}
for i, value in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do was[ids[i]] = value is[ids[i]] = value end
local function node_of(value) return string.match(value, '^[^-]*') end
local function inc_of(value) return string.match(value, '^[^ ]*') end
local function is_held(value) return string.find(value, '^[^ ]* h') ~= nil end
local function member_of(value) return string.match(value, '^[^ ]* .(.*)$') end
local answer = {1, ''}
for i = 5, #ARGV, 3 do
  local what, id, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local now, told = is[id], 0
  local is_others = now and node_of(now) ~= node
  if what == 'j' then
    if is_others and is_held(now) then told = 1 end
    is[id] = inc .. ' h' .. value
  elseif what == 'n' then
    if is_others and is_held(now) then told = 1 else is[id] = inc .. ' h' .. value end
  elseif what == 'r' then
    if is_others and (is_held(now) or string.sub(value, 1, 1) == 'l') then told = 1
    else is[id] = inc .. ' ' .. value end
  elseif now and not is_others then
    is[id] = what == 'l' and string.gsub(now, '^([^ ]*) h', '%1 l') or false
  end
  answer[#answer + 1] = told
end
local sets = KEYS[1] .. ':ids:'
local told, changed, gone, joined, left = {}, {}, {}, {}, {}
for _, id in ipairs(ids) do
  -- An id that is changed twice is looked at once.
  local old, new = was[id], is[id]
  was[id] = is[id]
  local before, after = old and inc_of(old), new and inc_of(new)
  if old and before ~= after then
    left[before] = left[before] or {}
    table.insert(left[before], id)
  end
  if new and new ~= old then
    changed[#changed + 1] = id changed[#changed + 1] = new
    if before ~= after then joined[#joined + 1] = id end
  elseif old and not new then
    gone[#gone + 1] = id
  end
  -- Others are not told what they can't see: that a member is leaving, or that its node has a new incarnation.
  if not (old and new) then
    if old or new then told[#told + 1] = id told[#told + 1] = new or '' end
  elseif node_of(old) ~= node_of(new) or member_of(old) ~= member_of(new) then
    told[#told + 1] = id told[#told + 1] = new
  end
end
-- While a cluster moves the keys to another master, a set may be there already, and then a command on it fails here. The
-- sets of who joins come first, before anything is done: an id too many in a set is dropped when the set is reaped, and
-- one that is missing there would stay a member for ever. Those of who has left come last, and may fail.
if #joined > 0 then
  redis.call('SADD', sets .. inc .. ':' .. ARGV[2], unpack(joined))
  redis.call('SADD', KEYS[1] .. ':names:' .. inc, ARGV[2])
end
if #changed > 0 then redis.call('HSET', KEYS[2], unpack(changed)) end
if #gone > 0 then redis.call('HDEL', KEYS[2], unpack(gone)) end
for before, its in pairs(left) do
  local set = sets .. before .. ':' .. ARGV[2]
  redis.pcall('SREM', set, unpack(its))
  if not redis.pcall('SRANDMEMBER', set) then redis.pcall('SREM', KEYS[1] .. ':names:' .. before, ARGV[2]) end
end
local version = redis.call('GET', KEYS[3])
if #told > 0 then
  local v = tonumber(version or '')
  if not v or not (v >= 0 and v < 9007199253740992) then
    -- Where a version is lost, the next one is higher all the same: versions begin with the time in microseconds, and
    -- no name has a million changes a second.
    local t = redis.call('TIME')
    v = t[1] * 1000000 + t[2]
  end
  version = string.format('%.0f', v + 1)
  redis.call('SET', KEYS[3], version, 'PX', ARGV[4])
  table.insert(told, 1, version)
  -- A script is not rolled back, and the members are changed by now.
  redis.pcall('PUBLISH', ARGV[1], 'p' .. cjson.encode(told))
end
answer[2] = version or '0'
return answer
