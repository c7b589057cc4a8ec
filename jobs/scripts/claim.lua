-- id, delivery, worker, lease, version of records that the worker knows -> 1 and the job is this worker's, or 0. A repeat
-- by the same worker is granted again.
local id, delivery, worker = ARGV[1], ARGV[2], ARGV[3]
local job = key('job', id)
local record = redis.call('HMGET', job, 'state', 'delivery', 'worker', 'version')
if record[2] ~= delivery or tonumber(record[4] or 0) > tonumber(ARGV[5]) then return 0 end
if record[1] == 'running' then return record[3] == worker and 1 or 0 end
if record[1] ~= 'queued' then return 0 end
local at = now()
if redis.call('HINCRBY', job, 'attempts', 1) == 1 then
  observe('wait', (at - tonumber(redis.call('HGET', job, 'created'))) / 1000000)
end
redis.call('HSET', job, 'state', 'running', 'worker', worker, 'started', integer(at), 'lease', integer(at + ARGV[4]))
redis.call('HDEL', job, 'missing', 'passed')
redis.call('ZREM', key('queued'), id)
redis.call('ZADD', key('leases'), integer(at + ARGV[4]), id)
event(id, 'state', '{"state":"running"}')
return 1
