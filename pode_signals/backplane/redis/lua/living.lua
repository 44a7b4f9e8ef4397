-- The incarnations that have said in time that they live. It writes nothing.
--
-- KEYS 1 the nodes
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local living = {}
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
  if string.sub(entry, -1) ~= '!' then living[#living + 1] = entry end
end
return living
