-- id, delivery, stage, done, total, seconds left or '' -> as renew
local id, left = ARGV[1], ARGV[6]
if not held(id, ARGV[2]) then return 'lost' end
local told = {stage = ARGV[3], done = tonumber(ARGV[4]), total = tonumber(ARGV[5])}
redis.call('HSET', key('job', id), 'stage', ARGV[3], 'done', ARGV[4], 'total', ARGV[5])
if left == '' then
  redis.call('HDEL', key('job', id), 'left')
else
  redis.call('HSET', key('job', id), 'left', left)
  told.left_s = tonumber(left)
end
event(id, 'progress', cjson.encode(told))
return redis.call('HGET', key('job', id), 'cancel') and 'cancel' or 'ok'
