-- A sliding window of 60 one-second slots with its sum: a hash with the fields `second`, `sum` and 0 to 59.
local SLOTS = 60

local function save(window)
  redis.call('HSET', window.key, 'second', window.second, 'sum', window.sum)
  redis.call('EXPIRE', window.key, SLOTS + 10)
end

-- The window at this moment: slots that have left it are emptied.
local function open(key)
  local second = math.floor(now_ms / 1000)
  local stored = redis.call('HMGET', key, 'second', 'sum')
  local last, sum = tonumber(stored[1]), tonumber(stored[2]) or 0
  local window = { key = key, second = second, sum = sum }
  if not last or second - last >= SLOTS then
    redis.call('DEL', key)
    window.sum = 0
  elseif last >= second then
    -- The clock may have been set back.
    window.second = last
  else
    for passed = last + 1, second do
      local slot = passed % SLOTS
      local expired = tonumber(redis.call('HGET', key, slot))
      if expired then
        window.sum = math.max(window.sum - expired, 0)
        redis.call('HDEL', key, slot)
      end
    end
    save(window)
  end
  return window
end

local function add(window, second, amount)
  redis.call('HINCRBY', window.key, second % SLOTS, amount)
  window.sum = window.sum + amount
  save(window)
end

-- Milliseconds until `amount` more fits below `limit`.
local function wait(window, amount, limit)
  local left, second = window.sum, window.second - SLOTS + 1
  while left + amount > limit and second <= window.second do
    left = left - (tonumber(redis.call('HGET', window.key, second % SLOTS)) or 0)
    second = second + 1
  end
  return (second + SLOTS - 1) * 1000 - now_ms
end
