-- id, delivery, state, manifest, error, life, bytes of the manifest's files, seconds per stage as JSON
-- -> 1 and it is published (also on a repeat), or 0 where the job is not ours.
-- A cancel that was accepted wins over a success: the job keeps all that it made, and is canceled.
local id, delivery, state = ARGV[1], ARGV[2], ARGV[3]
local record = redis.call('HMGET', key('job', id), 'state', 'delivery', 'lease', 'published', 'cancel')
if state == 'succeeded' and record[5] then state = 'canceled' end
if record[4] == delivery and record[1] == state then return 1 end
if record[1] ~= 'running' or record[2] ~= delivery or tonumber(record[3]) < now() then
  count('fenced|job')
  return 0
end
redis.call('HSET', key('job', id), 'published', delivery)
finish(id, state, ARGV[4], ARGV[5], tonumber(ARGV[6]))
if ARGV[4] ~= '' then account(id, 'made', ARGV[7]) end
local model = redis.call('HGET', key('job', id), 'model') or ''
for stage, seconds in pairs(cjson.decode(ARGV[8])) do observe('stage|' .. stage .. '|' .. model, seconds) end
return 1
