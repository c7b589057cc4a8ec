-- Shared by every script. KEYS[1] is the prefix of all keys; one server holds them all (no cluster).
-- The record of a job is the hash <prefix>:job:<id>. Around it: <prefix>:jobs (all ids by sequence number), :queued (ids
-- by rank), :leases (running ids by end of lease), :expiring (final ids by end of life), :idem:<key>,
-- :events:<id> (stream) and :gone:<id> (tombstone, holding the owner). Of each API key: :jobs:<key> (its ids by sequence
-- number), :flight:<key> (its jobs that have not ended, with their samples) and its bytes in the hash :stored. Times are microseconds of the server's clock.
-- Of webhooks: :webhooks (ids whose end is still to be told, by when to look at them), :webhooks:sending (those that
-- somebody has in hand, by end of lease), :notifying:<key> (a key's among them) and the hash :webhook-secrets.
local prefix = KEYS[1]

local function key(name, id)
  if id then return prefix .. ':' .. name .. ':' .. id end
  return prefix .. ':' .. name
end

-- A number of 16 digits in Lua's own notation would lose its last ones.
local function integer(number) return string.format('%.0f', number) end

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function event(id, kind, data)
  redis.call('XADD', key('events', id), 'MAXLEN', '~', 1000, '*', 'type', kind, 'data', data)
end

local function is_final(state)
  return state == 'succeeded' or state == 'failed' or state == 'canceled' or state == 'expired'
end

-- For /metrics, by the script that makes the change (jobs/counts.py says how the fields are read).
local function count(field, by) redis.call('HINCRBY', key('counts'), field, by or 1) end

local function observe(field, seconds)
  local place = 1
  while bounds[place] and seconds > bounds[place] do place = place + 1 end
  count(field .. '|#' .. place)
  count(field .. '|sum', integer(seconds * 1000000))
end

-- Sets what a job has of its key's stored bytes; `field` is 'noted', 'uploaded' or 'made'. Safe to repeat.
local function account(id, field, bytes)
  local record = redis.call('HMGET', key('job', id), 'owner', field)
  if not record[1] or record[1] == '' then return end
  redis.call('HSET', key('job', id), field, bytes)
  redis.call('HINCRBY', key('stored'), record[1], integer(tonumber(bytes) - (tonumber(record[2]) or 0)))
end

-- What a job's record takes of the queue's memory beyond what every record has, as its key's. Safe to repeat.
local FREE = 4096
local function weigh(id, is_gone)
  local job = key('job', id)
  local record = redis.call('HMGET', job, 'owner', 'weight')
  if not record[1] or record[1] == '' then return end
  local weight = 0
  if not is_gone then
    for _, field in ipairs({'request', 'payload', 'manifest'}) do weight = weight + redis.call('HSTRLEN', job, field) end
    weight = math.max(0, weight - FREE)
  end
  redis.call('HSET', job, 'weight', weight)
  redis.call('HINCRBY', key('memory'), record[1], integer(weight - (tonumber(record[2]) or 0)))
end

-- How far a final job came: to its end, or to the volumes that it keeps of those that it was to store.
local function settle_progress(id, state)
  local job = key('job', id)
  local volumes, total, manifest = unpack(redis.call('HMGET', job, 'volumes', 'total', 'manifest'))
  if state == 'succeeded' then
    if total then redis.call('HSET', job, 'done', total) end
  elseif tonumber(volumes or 0) > 0 then
    local kept = manifest and #cjson.decode(manifest).results or 0
    redis.call('HSET', job, 'done', kept, 'total', math.max(tonumber(volumes), kept))
  end
end

-- Nothing more is told of a job's end. `state` says in its record how that came; without one the record goes too.
local function close_webhook(id, owner, state)
  for _, index in ipairs({'webhooks', 'webhooks:sending'}) do redis.call('ZREM', key(index), id) end
  if owner and owner ~= '' then redis.call('SREM', key('notifying', owner), id) end
  if not state then return end
  redis.call('HSET', key('job', id), 'hook_state', state, 'hook_done', integer(now()))
  count('webhooks|' .. state)
end

-- The only place where a job becomes final. Callers have checked that it is not final yet.
local function finish(id, state, manifest, err, life)
  local at = now()
  local job = key('job', id)
  redis.call('HSET', job, 'state', state, 'ended', integer(at), 'expires', integer(at + life), 'error', err)
  if manifest ~= '' then redis.call('HSET', job, 'manifest', manifest) end
  settle_progress(id, state)
  redis.call('HDEL', job, 'stage', 'left', 'worker', 'lease', 'payload')
  redis.call('ZREM', key('queued'), id)
  redis.call('ZREM', key('leases'), id)
  redis.call('ZADD', key('expiring'), integer(at + life), id)
  redis.call('ZADD', key('webhooks'), 'XX', integer(at), id)
  local owner = redis.call('HGET', job, 'owner')
  if owner and owner ~= '' then redis.call('HDEL', key('flight', owner), id) end
  account(id, 'uploaded', 0)
  weigh(id)
  local about = redis.call('HMGET', job, 'kind', 'model')
  count('finished|' .. (about[1] or '') .. '|' .. (about[2] or '') .. '|' .. state)
  event(id, 'end', '{"state":"' .. state .. '"}')
end

-- Back into the queue under a new delivery number, which shuts out whoever still works on the old one.
local function redeliver(id)
  local job = key('job', id)
  local delivery = redis.call('HINCRBY', job, 'delivery', 1)
  redis.call('HSET', job, 'state', 'queued')
  redis.call('HDEL', job, 'worker', 'lease', 'missing', 'stage', 'left', 'done', 'total')
  redis.call('ZREM', key('leases'), id)
  local place = redis.call('HMGET', job, 'rank', 'seq')
  redis.call('ZADD', key('queued'), place[1] or place[2], id)
  event(id, 'state', '{"state":"queued"}')
  return delivery
end

-- Drops every key of a job; its files are the caller's to remove.
local function forget(id)
  local idem = redis.call('HGET', key('job', id), 'idem')
  if idem and idem ~= '' and redis.call('HGET', key('idem', idem), 'id') == id then
    redis.call('DEL', key('idem', idem))
  end
  local owner = redis.call('HGET', key('job', id), 'owner')
  if owner and owner ~= '' then
    account(id, 'uploaded', 0)
    account(id, 'made', 0)
    account(id, 'noted', 0)
    weigh(id, true)
    redis.call('ZREM', key('jobs', owner), id)
    redis.call('HDEL', key('flight', owner), id)
  end
  close_webhook(id, owner)
  redis.call('DEL', key('job', id), key('events', id))
  for _, index in ipairs({'jobs', 'queued', 'leases', 'expiring'}) do redis.call('ZREM', key(index), id) end
end

local function held(id, delivery)
  local job = redis.call('HMGET', key('job', id), 'state', 'delivery')
  return job[1] == 'running' and job[2] == delivery
end
