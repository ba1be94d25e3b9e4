-- One more purge. Too many become one of everything, as does one of everything itself.
local number = redis.call('HINCRBY', KEYS[1], 'number', 1)
local field = 'purge:' .. ARGV[1]
local is_new = redis.call('HEXISTS', KEYS[1], field) == 0
if ARGV[1] == 'all' or (is_new and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[2])) then
  for _, known in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(known, 1, 6) == 'purge:' then redis.call('HDEL', KEYS[1], known) end
  end
  field = 'purge:all'
end
redis.call('HSET', KEYS[1], field, number)
return number
