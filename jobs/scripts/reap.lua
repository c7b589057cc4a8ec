-- crash limit, error of a job over it, life, how many at most -> {id, old delivery, new delivery or 0 where it ended, ...}
local answer = {}
local due = redis.call('ZRANGEBYSCORE', key('leases'), '-inf', integer(now()), 'LIMIT', 0, ARGV[4])
for _, id in ipairs(due) do
  local job = key('job', id)
  local record = redis.call('HMGET', job, 'state', 'delivery', 'cancel')
  if record[1] ~= 'running' then
    redis.call('ZREM', key('leases'), id)
  else
    count('lease_losses')
    local crashes = redis.call('HINCRBY', job, 'crashes', 1)
    local delivery = 0
    if record[3] then
      finish(id, 'canceled', '', '', tonumber(ARGV[3]))
    elseif crashes >= tonumber(ARGV[1]) then
      finish(id, 'failed', '', ARGV[2], tonumber(ARGV[3]))
    else
      delivery = redeliver(id)
    end
    for _, value in ipairs({id, record[2], delivery}) do answer[#answer + 1] = value end
  end
end
return answer
