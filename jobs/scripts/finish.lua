-- id, delivery, state, manifest, error, life -> 1 and it is published (also on a repeat), or 0 where the job is not ours.
local id, delivery = ARGV[1], ARGV[2]
local record = redis.call('HMGET', key('job', id), 'state', 'delivery', 'lease', 'published')
if record[4] == delivery and record[1] == ARGV[3] then return 1 end
if record[1] ~= 'running' or record[2] ~= delivery or tonumber(record[3]) < now() then return 0 end
redis.call('HSET', key('job', id), 'published', delivery)
finish(id, ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]))
return 1
