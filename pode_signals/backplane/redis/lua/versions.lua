-- The versions of the members of names. It writes nothing.
--
-- KEYS the versions
-- gives them, in the same order
local versions = {}
for i, key in ipairs(KEYS) do versions[i] = redis.call('GET', key) or '0' end
return versions
