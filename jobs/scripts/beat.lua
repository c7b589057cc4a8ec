-- worker, its description as JSON or "" to retire it, life in seconds, its host -> 1 where it is to take no more jobs
local name = ARGV[1]
if ARGV[2] == '' then
  redis.call('DEL', key('worker', name))
  redis.call('ZREM', key('workers'), name)
  redis.call('SREM', key('draining'), name)
  return 0
end
-- A worker tells how often it has loaded weights since its start; what came since its last beat is counted.
local function loads(about) return about and tonumber(cjson.decode(about).model_loads) or 0 end
local new = loads(ARGV[2]) - loads(redis.call('HGET', key('worker', name), 'about'))
if new > 0 then count('model_loads', integer(new)) end
local at = integer(now())
redis.call('HSET', key('worker', name), 'about', ARGV[2], 'beat', at)
redis.call('EXPIRE', key('worker', name), ARGV[3])
redis.call('ZADD', key('workers'), at, name)
if redis.call('SISMEMBER', key('draining'), name) == 1 then return 1 end
return redis.call('SISMEMBER', key('draining'), ARGV[4] or '')
