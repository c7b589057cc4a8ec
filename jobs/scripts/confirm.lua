-- id -> 1 where the record exists. It writes, so that a WAITAOF after it on the same connection covers the submit before it.
if redis.call('EXISTS', key('job', ARGV[1])) == 0 then return 0 end
redis.call('HSET', key('job', ARGV[1]), 'confirmed', integer(now()))
return 1
