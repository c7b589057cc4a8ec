-- id, delivery, lease -> 'ok', 'cancel' where the user wants it stopped, or 'lost'.
-- A lease that ran out but was not taken yet is revived: the queue itself may have been away.
local id = ARGV[1]
if not held(id, ARGV[2]) then return 'lost' end
local ends = integer(now() + ARGV[3])
redis.call('HSET', key('job', id), 'lease', ends)
redis.call('ZADD', key('leases'), ends, id)
return redis.call('HGET', key('job', id), 'cancel') and 'cancel' or 'ok'
