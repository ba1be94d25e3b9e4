-- A member is alive. KEYS: members, born. ARGV: member, the name it had before (or nothing), a text for a Redis that knows
-- nothing yet, 1 when the member should be known. Answers: the time, born, 1 when the member was taken for dead, who lives.
local born = redis.call('GET', KEYS[2])
if not born then
  born = ARGV[3] .. ':' .. now_ms
  redis.call('SET', KEYS[2], born)
end
local heard = redis.call('ZSCORE', KEYS[1], ARGV[1])
local was_dead = ARGV[4] == '1' and not (heard and now_ms - tonumber(heard) <= LEASE_MS)
redis.call('ZADD', KEYS[1], now_ms, ARGV[1])
if ARGV[2] ~= '' then
  redis.call('ZREM', KEYS[1], ARGV[2])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms - 20 * LEASE_MS)
local alive = redis.call('ZRANGEBYSCORE', KEYS[1], now_ms - LEASE_MS, '+inf')
return { now_ms, born, was_dead and 1 or 0, alive }
