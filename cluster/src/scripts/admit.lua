-- May a key ask now? KEYS: members, born, its requests, its parallel requests. ARGV: member, rpm, max_parallel (0: none).
-- Answers: what refuses it (0 nothing, 1 rpm, 2 max_parallel, -1 nothing is known here), the wait, what is left of rpm.
if redis.call('EXISTS', KEYS[2]) == 0 then
  return { -1, 0, 0 }
end
local rpm, max_parallel, left = tonumber(ARGV[2]), tonumber(ARGV[3]), 0
if max_parallel > 0 then
  local running, counts = 0, redis.call('HGETALL', KEYS[4])
  for at = 1, #counts, 2 do
    if is_alive(KEYS[1], counts[at]) then
      running = running + math.max(tonumber(counts[at + 1]), 0)
    else
      redis.call('HDEL', KEYS[4], counts[at])
    end
  end
  if running >= max_parallel then
    return { 2, 1000, 0 }
  end
end
if rpm > 0 then
  local window = open(KEYS[3])
  if window.sum >= rpm then
    return { 1, wait(window, 1, rpm), 0 }
  end
  add(window, window.second, 1)
  left = rpm - window.sum
end
if max_parallel > 0 then
  redis.call('HINCRBY', KEYS[4], ARGV[1], 1)
  redis.call('EXPIRE', KEYS[4], 86400)
end
return { 0, 0, left }
