#!lua flags=allow-oom
-- Drops the log of a name. The next one has another epoch.
--
-- KEYS 1 the stream, 2 the hash beside it
redis.call('UNLINK', KEYS[1], KEYS[2])
return 1
