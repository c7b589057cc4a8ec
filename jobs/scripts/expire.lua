-- life of a tombstone in seconds, how many at most, longest step of the clock, patience after a longer one
-- -> {1 where such a step was seen now, ids whose record is gone; their files are the caller's to remove}
-- Between two calls little time passes. Where much has, nobody called, or the clock jumped and may be set right again.
local at, clock = now(), key('clock')
local seen, jumped = unpack(redis.call('HMGET', clock, 'seen', 'jumped'))
redis.call('HSET', clock, 'seen', integer(at))
if seen and at - tonumber(seen) > tonumber(ARGV[3]) then
  redis.call('HSET', clock, 'jumped', integer(at))
  return {1, {}}
end
if jumped and at >= tonumber(jumped) and at - tonumber(jumped) < tonumber(ARGV[4]) then return {0, {}} end
if jumped then redis.call('HDEL', clock, 'jumped') end
local due = redis.call('ZRANGEBYSCORE', key('expiring'), '-inf', integer(at), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do
  local owner = redis.call('HGET', key('job', id), 'owner') or ''
  forget(id)
  redis.call('SET', key('gone', id), owner, 'EX', ARGV[1])
end
return {0, due}
