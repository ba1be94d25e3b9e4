-- Replaces a reservation by what was used, while its second is in the window. KEYS: a key's tokens. ARGV: the second,
-- what was added, what it really was.
local window, second = open(KEYS[1]), tonumber(ARGV[1])
if second <= window.second and second + SLOTS > window.second then
  local slot = second % SLOTS
  local before = tonumber(redis.call('HGET', KEYS[1], slot)) or 0
  local after = math.max(before - tonumber(ARGV[2]), 0) + tonumber(ARGV[3])
  redis.call('HSET', KEYS[1], slot, after)
  window.sum = math.max(window.sum - before + after, 0)
  save(window)
end
