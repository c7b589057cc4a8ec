-- id, 1 where another post than the one that made the job is about to be told of it -> 1 where the record exists.
-- It writes, so that a WAITAOF after it on the same connection covers the submit before it.
local job = key('job', ARGV[1])
if redis.call('EXISTS', job) == 0 then return 0 end
redis.call('HSET', job, 'confirmed', integer(now()))
if ARGV[2] == '1' then redis.call('HSET', job, 'told', 1) end
return 1
