-- how many at most, lease, when to look again at a job that has not ended; limits: attempts, those under way at once of
-- one key and of one receiver -> {now, then of each taken: id, attempt, address, its owner's secret}
-- Of what is due, what may not be sent yet is put off by a second, so that it keeps nothing else from being looked at.
local LOOK, PUT_OFF = 200, 1000000
local at, due, sending = now(), key('webhooks'), key('webhooks', 'sending')
local busy = {}
local function take_place(owner, receiver, by)
  local names = {'key ' .. owner, 'at ' .. receiver}
  for _, name in ipairs(names) do busy[name] = (busy[name] or 0) + by end
  return busy[names[1]] <= tonumber(ARGV[5]) and busy[names[2]] <= tonumber(ARGV[6])
end
redis.call('ZREMRANGEBYSCORE', sending, '-inf', integer(at))
for _, id in ipairs(redis.call('ZRANGE', sending, 0, -1)) do
  local about = redis.call('HMGET', key('job', id), 'owner', 'hook_to')
  take_place(about[1] or '', about[2] or '', 1)
end
local answer = {integer(at)}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', integer(at), 'LIMIT', 0, LOOK)) do
  if #answer > 4 * tonumber(ARGV[1]) then break end
  local job = key('job', id)
  local state, owner, receiver, url, made = unpack(
    redis.call('HMGET', job, 'state', 'owner', 'hook_to', 'webhook', 'hook_attempts'))
  local secret = redis.call('HGET', key('webhook-secrets'), owner or '')
  if not (state and url and secret) then
    redis.call('ZREM', due, id)
  elseif not is_final(state) then
    redis.call('ZADD', due, integer(at + ARGV[3]), id)
  elseif owner ~= '' and redis.call('HEXISTS', key('key', owner), 'revoked') == 1 then
    redis.call('HSET', job, 'hook_problem', 'key_revoked')
    close_webhook(id, owner, 'given_up')
  elseif tonumber(made or 0) >= tonumber(ARGV[4]) then
    close_webhook(id, owner, 'given_up')
  elseif not take_place(owner, receiver, 1) then
    take_place(owner, receiver, -1)
    redis.call('ZADD', due, integer(at + PUT_OFF), id)
  else
    local ends = integer(at + ARGV[2])
    local attempt = redis.call('HINCRBY', job, 'hook_attempts', 1)
    redis.call('HSET', job, 'hook_due', ends)
    redis.call('ZADD', due, ends, id)
    redis.call('ZADD', sending, ends, id)
    for _, value in ipairs({id, attempt, url, secret}) do answer[#answer + 1] = value end
  end
end
return answer
