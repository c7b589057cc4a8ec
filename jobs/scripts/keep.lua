-- id, delivery, manifest so far, the new result or '', bytes stored so far -> as renew
local id = ARGV[1]
if not held(id, ARGV[2]) then
  count('fenced|result')
  return 'lost'
end
redis.call('HSET', key('job', id), 'manifest', ARGV[3])
account(id, 'made', ARGV[5])
weigh(id)
if ARGV[4] ~= '' then event(id, 'result', ARGV[4]) end
return redis.call('HGET', key('job', id), 'cancel') and 'cancel' or 'ok'
