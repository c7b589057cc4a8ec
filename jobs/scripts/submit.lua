-- id, kind, model, model digest, request, payload, request digest, idempotency key or '', queue limit, owner or '',
-- samples, uploaded bytes, the owner's limits: jobs and samples in flight, stored bytes; priority, its head start,
-- volumes that the job stores, version of the record, the owner's limit of memory; address to tell of its end or '', that
-- without its path, the owner's limit of those, a secret where there is none, when to look at it -> {answer, id}
local id, idem, owner = ARGV[1], ARGV[8], ARGV[10]
local job = key('job', id)
-- What the record itself takes beyond FREE bytes is charged like files: the request for as long as the record is there,
-- the payload, like an upload, until the job has ended.
local noted = math.max(0, #ARGV[5] - FREE)
local uploaded = ARGV[12] + math.max(0, #ARGV[6] - FREE)
if redis.call('EXISTS', job) == 1 then return {'accepted', id} end
if idem ~= '' then
  local known = redis.call('HMGET', key('idem', idem), 'id', 'digest')
  if known[1] and redis.call('EXISTS', key('job', known[1])) == 1 then
    if known[2] == ARGV[7] then return {'accepted', known[1]} end
    return {'conflict', known[1]}
  end
end
if redis.call('ZCARD', key('queued')) >= tonumber(ARGV[9]) then return {'full', ''} end
if owner ~= '' then
  local samples = tonumber(ARGV[11])
  for _, count in ipairs(redis.call('HVALS', key('flight', owner))) do samples = samples + tonumber(count) end
  if redis.call('HLEN', key('flight', owner)) >= tonumber(ARGV[13]) then return {'jobs', ''} end
  if samples > tonumber(ARGV[14]) then return {'samples', ''} end
  local stored = tonumber(redis.call('HGET', key('stored'), owner) or 0)
  local memory = tonumber(redis.call('HGET', key('memory'), owner) or 0) + math.max(0, #ARGV[5] + #ARGV[6] - FREE)
  if memory > tonumber(ARGV[20]) then return {'memory', ''} end
  if ARGV[21] ~= '' and redis.call('SCARD', key('notifying', owner)) >= tonumber(ARGV[23]) then return {'webhooks', ''} end
  if stored >= tonumber(ARGV[15]) or stored + uploaded + noted > tonumber(ARGV[15]) then return {'bytes', ''} end
end
local seq = redis.call('INCR', key('seq'))
-- The queue's order: time of acceptance less the head start. The clock may step back, the order of equals may not.
local accepted = math.max(now(), tonumber(redis.call('GET', key('accepted')) or 0) + 1)
redis.call('SET', key('accepted'), integer(accepted))
local rank = integer(accepted - tonumber(ARGV[17]))
redis.call('HSET', job, 'id', id, 'kind', ARGV[2], 'model', ARGV[3], 'model_sha256', ARGV[4], 'request', ARGV[5],
  'payload', ARGV[6], 'digest', ARGV[7], 'idem', idem, 'state', 'queued', 'seq', seq, 'created', integer(now()),
  'delivery', 1, 'crashes', 0, 'attempts', 0, 'owner', owner, 'priority', ARGV[16], 'rank', rank,
  'volumes', ARGV[18], 'version', ARGV[19])
redis.call('ZADD', key('jobs'), seq, id)
redis.call('ZADD', key('queued'), rank, id)
if owner ~= '' then
  redis.call('ZADD', key('jobs', owner), seq, id)
  redis.call('HSET', key('flight', owner), id, ARGV[11])
  account(id, 'uploaded', integer(uploaded))
  account(id, 'noted', integer(noted))
  weigh(id)
end
if ARGV[21] ~= '' then
  redis.call('HSET', job, 'webhook', ARGV[21], 'hook_to', ARGV[22])
  redis.call('HSETNX', key('webhook-secrets'), owner, ARGV[24])
  redis.call('ZADD', key('webhooks'), integer(now() + ARGV[25]), id)
  if owner ~= '' then redis.call('SADD', key('notifying', owner), id) end
end
if idem ~= '' then redis.call('HSET', key('idem', idem), 'id', id, 'digest', ARGV[7]) end
count('submitted|' .. ARGV[2] .. '|' .. ARGV[3])
event(id, 'state', '{"state":"queued"}')
return {'accepted', id}
