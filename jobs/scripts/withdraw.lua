-- id -> 1 where a job whose submit failed is gone again. One that has begun, or that another post with its idempotency
-- key was told of, stays.
local record = redis.call('HMGET', key('job', ARGV[1]), 'state', 'delivery', 'told')
if record[1] ~= 'queued' or record[2] ~= '1' or record[3] then return 0 end
finish(ARGV[1], 'canceled', '', '', 0)
forget(ARGV[1])
return 1
