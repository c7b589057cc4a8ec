-- id, delivery, worker, its host, patience, how many to look at, models that the worker holds...
-- -> {id, delivery, 0} of the job to claim; {id, delivery, d} or {'', 0, d} where the first id is passed over: d is the
-- delivery under which it waits on. Nothing is claimed here.
local id, delivery = ARGV[1], tonumber(ARGV[2])
local job = key('job', id)
local record = redis.call('HMGET', job, 'state', 'delivery')
if record[1] ~= 'queued' or tonumber(record[2]) ~= delivery then return {id, delivery, 0} end
local function passed_over()
  redis.call('HDEL', job, 'missing')
  return redis.call('HINCRBY', job, 'delivery', 1)
end
local draining = key('draining')
if redis.call('SISMEMBER', draining, ARGV[3]) == 1 or redis.call('SISMEMBER', draining, ARGV[4]) == 1 then
  return {'', 0, passed_over()}
end
local waiting = redis.call('ZRANGE', key('queued'), 0, tonumber(ARGV[6]) - 1)
local first = redis.call('HMGET', key('job', waiting[1]), 'model', 'priority', 'passed')
local held = {}
for place = 7, #ARGV do held[ARGV[place]] = true end
local chosen, at = waiting[1], now()
local may_wait = not held[first[1]] and (not first[3] or at - tonumber(first[3]) < tonumber(ARGV[5]))
if may_wait and #ARGV > 6 and tonumber(ARGV[5]) > 0 then
  for place = 2, #waiting do
    local about = redis.call('HMGET', key('job', waiting[place]), 'model', 'priority')
    if about[2] ~= first[2] then break end
    if held[about[1]] then
      chosen = waiting[place]
      redis.call('HSETNX', key('job', waiting[1]), 'passed', integer(at))
      break
    end
  end
end
if chosen == id then return {id, delivery, 0} end
return {chosen, tonumber(redis.call('HGET', key('job', chosen), 'delivery')), passed_over()}
