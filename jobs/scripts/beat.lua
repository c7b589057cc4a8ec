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
-- A worker that was killed retires from nothing: its name goes once its own life is over.
local silent = redis.call('ZRANGEBYSCORE', key('workers'), '-inf', integer(now() - ARGV[3] * 1000000), 'LIMIT', 0, 100)
for _, other in ipairs(silent) do
  if redis.call('EXISTS', key('worker', other)) == 0 then
    redis.call('ZREM', key('workers'), other)
    redis.call('SREM', key('draining'), other)
  end
end
if redis.call('SISMEMBER', key('draining'), name) == 1 then return 1 end
return redis.call('SISMEMBER', key('draining'), ARGV[4] or '')
