-- id, life -> the state before, or '' where there is no such job. Running: only the flag is set; final: nothing changes.
local id = ARGV[1]
local state = redis.call('HGET', key('job', id), 'state')
if not state then return '' end
if state == 'queued' then
  finish(id, 'canceled', '', '', tonumber(ARGV[2]))
elseif state == 'running' then
  redis.call('HSET', key('job', id), 'cancel', 1)
end
return state
