#!lua flags=allow-oom
-- A node says that it lives.
--
-- KEYS 1 the nodes
-- ARGV 1 the incarnation, 2 for how many milliseconds it lives without another beat, 3 `new` or nothing, 4 and more: for a
--      new incarnation, the earlier ones of its node. They end with this call: no command of theirs that is still on its
--      way does anything. Their members stay for as long as the new one may take to tell them again.
-- gives 1; or 0 where Redis does not know the incarnation, or it has ended
local t = redis.call('TIME')
local till = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2])
if ARGV[3] ~= 'new' then
  if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
end
for i = 4, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then redis.call('ZADD', KEYS[1], till, ARGV[i] .. '!') end
end
redis.call('ZADD', KEYS[1], till, ARGV[1])
return 1
