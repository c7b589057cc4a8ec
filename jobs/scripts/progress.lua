-- id, delivery, stage, done, total -> as renew
local id = ARGV[1]
if not held(id, ARGV[2]) then return 'lost' end
redis.call('HSET', key('job', id), 'stage', ARGV[3], 'done', ARGV[4], 'total', ARGV[5])
event(id, 'progress', cjson.encode({stage = ARGV[3], done = tonumber(ARGV[4]), total = tonumber(ARGV[5])}))
return redis.call('HGET', key('job', id), 'cancel') and 'cancel' or 'ok'
