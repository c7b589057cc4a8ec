-- id, delivery, bytes of all that this attempt has stored and is about to store, the key's limits of bytes and memory
-- -> as renew, or 'over' where the key would then have more than its limit
local id = ARGV[1]
if not held(id, ARGV[2]) then
  count('fenced|result')
  return 'lost'
end
local record = redis.call('HMGET', key('job', id), 'owner', 'made')
if record[1] and record[1] ~= '' then
  local others = tonumber(redis.call('HGET', key('stored'), record[1]) or 0) - (tonumber(record[2]) or 0)
  if others + tonumber(ARGV[3]) > tonumber(ARGV[4]) then return 'over' end
  if tonumber(redis.call('HGET', key('memory'), record[1]) or 0) > tonumber(ARGV[5]) then return 'memory' end
  account(id, 'made', ARGV[3])
end
return redis.call('HGET', key('job', id), 'cancel') and 'cancel' or 'ok'
