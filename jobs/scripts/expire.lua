-- life of a tombstone in seconds, how many at most -> ids whose record is gone; their files are the caller's to remove
local due = redis.call('ZRANGEBYSCORE', key('expiring'), '-inf', integer(now()), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do
  local owner = redis.call('HGET', key('job', id), 'owner') or ''
  forget(id)
  redis.call('SET', key('gone', id), owner, 'EX', ARGV[1])
end
return due
