-- worker, its description as JSON or "" to retire it, life in seconds
local name = ARGV[1]
if ARGV[2] == '' then
  redis.call('DEL', key('worker', name))
  redis.call('ZREM', key('workers'), name)
  return 0
end
local at = integer(now())
redis.call('HSET', key('worker', name), 'about', ARGV[2], 'beat', at)
redis.call('EXPIRE', key('worker', name), ARGV[3])
redis.call('ZADD', key('workers'), at, name)
return 1
