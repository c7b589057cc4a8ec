-- id, kind, model, model digest, request, payload, request digest, idempotency key or '', queue limit -> {answer, id}
local id, idem = ARGV[1], ARGV[8]
local job = key('job', id)
if redis.call('EXISTS', job) == 1 then return {'accepted', id} end
if idem ~= '' then
  local known = redis.call('HMGET', key('idem', idem), 'id', 'digest')
  if known[1] and redis.call('EXISTS', key('job', known[1])) == 1 then
    if known[2] == ARGV[7] then return {'accepted', known[1]} end
    return {'conflict', known[1]}
  end
end
if redis.call('ZCARD', key('queued')) >= tonumber(ARGV[9]) then return {'full', ''} end
local seq = redis.call('INCR', key('seq'))
redis.call('HSET', job, 'id', id, 'kind', ARGV[2], 'model', ARGV[3], 'model_sha256', ARGV[4], 'request', ARGV[5],
  'payload', ARGV[6], 'digest', ARGV[7], 'idem', idem, 'state', 'queued', 'seq', seq, 'created', integer(now()),
  'delivery', 1, 'crashes', 0, 'attempts', 0)
redis.call('ZADD', key('jobs'), seq, id)
redis.call('ZADD', key('queued'), seq, id)
if idem ~= '' then redis.call('HSET', key('idem', idem), 'id', id, 'digest', ARGV[7]) end
event(id, 'state', '{"state":"queued"}')
return {'accepted', id}
