-- id -> 'gone', or the state of a job that has not ended and therefore stays.
local state = redis.call('HGET', key('job', ARGV[1]), 'state')
if not state then return 'gone' end
if not is_final(state) then return state end
forget(ARGV[1])
return 'gone'
