-- Shared by every script. KEYS[1] is the prefix of all keys; one server holds them all (no cluster).
-- The record of a job is the hash <prefix>:job:<id>. Around it: <prefix>:jobs (all ids by sequence number), :queued (ids
-- by sequence number), :leases (running ids by end of lease), :expiring (final ids by end of life), :idem:<key>,
-- :events:<id> (stream) and :gone:<id> (tombstone). Times are microseconds of the server's clock.
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

-- The only place where a job becomes final. Callers have checked that it is not final yet.
local function finish(id, state, manifest, err, life)
  local at = now()
  local job = key('job', id)
  redis.call('HSET', job, 'state', state, 'ended', integer(at), 'expires', integer(at + life), 'error', err)
  if manifest ~= '' then redis.call('HSET', job, 'manifest', manifest) end
  local total = redis.call('HGET', job, 'total')
  if state == 'succeeded' and total then redis.call('HSET', job, 'done', total) end
  redis.call('HDEL', job, 'stage', 'worker', 'lease', 'payload')
  redis.call('ZREM', key('queued'), id)
  redis.call('ZREM', key('leases'), id)
  redis.call('ZADD', key('expiring'), integer(at + life), id)
  event(id, 'end', '{"state":"' .. state .. '"}')
end

-- Back into the queue under a new delivery number, which shuts out whoever still works on the old one.
local function redeliver(id)
  local job = key('job', id)
  local delivery = redis.call('HINCRBY', job, 'delivery', 1)
  redis.call('HSET', job, 'state', 'queued')
  redis.call('HDEL', job, 'worker', 'lease', 'missing', 'stage', 'done', 'total')
  redis.call('ZREM', key('leases'), id)
  redis.call('ZADD', key('queued'), redis.call('HGET', job, 'seq'), id)
  event(id, 'state', '{"state":"queued"}')
  return delivery
end

-- Drops every key of a job; its files are the caller's to remove.
local function forget(id)
  local idem = redis.call('HGET', key('job', id), 'idem')
  if idem and idem ~= '' and redis.call('HGET', key('idem', idem), 'id') == id then
    redis.call('DEL', key('idem', idem))
  end
  redis.call('DEL', key('job', id), key('events', id))
  for _, index in ipairs({'jobs', 'queued', 'leases', 'expiring'}) do redis.call('ZREM', key(index), id) end
end

local function held(id, delivery)
  local job = redis.call('HMGET', key('job', id), 'state', 'delivery')
  return job[1] == 'running' and job[2] == delivery
end
