#!lua flags=allow-oom
-- Does nothing, though it may write: a replica refuses it.
return 1
