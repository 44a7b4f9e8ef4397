#!lua flags=allow-oom
-- Takes out members of an incarnation that has ended, a few at a time, and publishes that they have left.
--
-- KEYS 1 the nodes
-- ARGV 1 the application, 2 how many members are taken out at most, 3 how many milliseconds versions are kept, 4 the
--      incarnation, which ends with this call; nothing for any whose time is over
-- gives 0 where there is nothing more to do; else 1
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local entry = ARGV[4]
if entry == '' then
  entry = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, 1)[1]
  if not entry then return 0 end
elseif not redis.call('ZSCORE', KEYS[1], entry) then
  entry = entry .. '!'
  if not redis.call('ZSCORE', KEYS[1], entry) then return 0 end
end
local inc = string.match(entry, '^[^!]*')
if entry == inc then
  -- With this it is fenced: a node that was only stalled comes back as a new incarnation.
  redis.call('ZREM', KEYS[1], inc)
  redis.call('ZADD', KEYS[1], 0, inc .. '!')
end
local names = KEYS[1] .. ':names:' .. inc
local name = redis.call('SRANDMEMBER', names)
if not name then
  redis.call('ZREM', KEYS[1], inc .. '!')
  return 1
end
local set = KEYS[1] .. ':ids:' .. inc .. ':' .. name
local ids = redis.call('SRANDMEMBER', set, ARGV[2])
if #ids == 0 then
  redis.call('SREM', names, name)
  return 1
end
redis.call('SREM', set, unpack(ids))
local members, told = KEYS[1] .. ':m:' .. name, {}
for i, value in ipairs(redis.call('HMGET', members, unpack(ids))) do
  -- Whom another node has by now has not left.
  if value and string.match(value, '^[^ ]*') == inc then
    redis.call('HDEL', members, ids[i])
    told[#told + 1] = ids[i]
    told[#told + 1] = ''
  end
end
if #told > 0 then
  local key = KEYS[1] .. ':v:' .. name
  local v = tonumber(redis.call('GET', key) or '')
  if not v or not (v >= 0 and v < 9007199253740992) then v = t[1] * 1000000 + t[2] end
  local version = string.format('%.0f', v + 1)
  redis.call('SET', key, version, 'PX', ARGV[3])
  table.insert(told, 1, version)
  redis.pcall('PUBLISH', ARGV[1] .. ':{n:' .. name .. '}:ch', 'p' .. cjson.encode(told))
end
return 1
