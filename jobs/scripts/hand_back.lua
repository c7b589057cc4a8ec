-- id, delivery, 1 where it counts as a crash, crash limit, life of a final record, error over the limit
-- -> new delivery, 0 where the job ended, -1 where it is not ours. A repeat answers the same delivery.
local id, delivery = ARGV[1], ARGV[2]
local job = key('job', id)
local record = redis.call('HMGET', job, 'state', 'delivery', 'handed')
if record[1] == 'queued' and record[3] == delivery then return tonumber(record[2]) end
if not held(id, delivery) then return -1 end
redis.call('HSET', job, 'handed', delivery)
count(ARGV[3] == '1' and 'handed_back|crashed' or 'handed_back|stopping')
local crashes = redis.call('HINCRBY', job, 'crashes', ARGV[3])
if redis.call('HGET', job, 'cancel') then
  finish(id, 'canceled', '', '', tonumber(ARGV[5]))
  return 0
end
if ARGV[3] == '1' and crashes >= tonumber(ARGV[4]) then
  finish(id, 'failed', '', ARGV[6], tonumber(ARGV[5]))
  return 0
end
return redeliver(id)
