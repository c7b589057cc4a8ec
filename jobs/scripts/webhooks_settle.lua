-- id, attempt, delivered or retried or given_up, status or '', problem or '', delay of the next attempt
-- -> 1, or 0 where the attempt is not the last one, or the job or its webhook is gone. A repeat changes nothing.
local id, outcome = ARGV[1], ARGV[3]
local job = key('job', id)
local owner, attempts, state = unpack(redis.call('HMGET', job, 'owner', 'hook_attempts', 'hook_state'))
if attempts ~= ARGV[2] or state or not redis.call('ZSCORE', key('webhooks', 'sending'), id) then return 0 end
redis.call('HSET', job, 'hook_status', ARGV[4], 'hook_problem', ARGV[5])
if outcome ~= 'retried' then
  close_webhook(id, owner, outcome)
else
  local ends = integer(now() + ARGV[6])
  redis.call('ZREM', key('webhooks', 'sending'), id)
  redis.call('ZADD', key('webhooks'), ends, id)
  redis.call('HSET', job, 'hook_due', ends)
  count('webhooks|retried')
end
return 1
