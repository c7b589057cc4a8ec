-- id, delivery, patience -> new delivery, or 0. Called for a queued job that was found in no list of the transport:
-- the first call notes the time, a call after `patience` delivers it anew. No crash is counted.
local id = ARGV[1]
local job = key('job', id)
local record = redis.call('HMGET', job, 'state', 'delivery', 'missing')
if record[1] ~= 'queued' or record[2] ~= ARGV[2] then return 0 end
if not record[3] then
  redis.call('HSET', job, 'missing', integer(now()))
  return 0
end
if now() - tonumber(record[3]) < tonumber(ARGV[3]) then return 0 end
count('lost_messages')
return redeliver(id)
