-- id, delivery, lease, 1 where a commit waits for the answer -> 'ok', 'cancel' where the user wants it stopped, or 'lost'.
-- A lease that ran out but was not taken yet is revived: the queue itself may have been away.
local id = ARGV[1]
if not held(id, ARGV[2]) then
  if ARGV[4] == '1' then count('fenced|result') end
  return 'lost'
end
local ends = integer(now() + ARGV[3])
redis.call('HSET', key('job', id), 'lease', ends)
redis.call('ZADD', key('leases'), ends, id)
return redis.call('HGET', key('job', id), 'cancel') and 'cancel' or 'ok'
