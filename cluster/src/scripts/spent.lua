-- What the store says is spent in a window, which never shrinks, and what the member has found in that figure.
-- KEYS: the account. ARGV: window, spent, member, pending to take off, what dead members held.
local field = 's:' .. ARGV[1]
local known = tonumber(redis.call('HGET', KEYS[1], field)) or 0
redis.call('HSET', KEYS[1], field, math.max(known, tonumber(ARGV[2])), 'u', ARGV[5])
if tonumber(ARGV[4]) ~= 0 then
  redis.call('HINCRBY', KEYS[1], 'p:' .. ARGV[1] .. ':' .. ARGV[3], '-' .. ARGV[4])
end
redis.call('EXPIRE', KEYS[1], 86400)
