-- Holds an amount on all accounts, as long as every window of every account has anything left.
-- KEYS: members, born, the accounts. ARGV: member, amount, and for each account the number of its windows, and for each
-- window its name, its limit, and what is spent as far as the member knows, for a window that Redis does not know.
-- Answers: 0 held, 1 refused, -1 nothing is known here; account and window counted from 0; 1 when it is spent for good;
-- what is spent in each window, as far as all of them were looked at.
--
-- Fields of an account: `s:` and a window: what the store says is spent. `p:`, a window, `:` and a member: what the member
-- has spent and the store may not say yet. `h:` and a member: what it holds. `u`: what dead members held.
if redis.call('EXISTS', KEYS[2]) == 0 then
  return { -1, 0, 0, 0, {} }
end
local amount, at, totals = tonumber(ARGV[2]), 3, {}

-- What is spent by window, what is known of the store's figure, and what is held.
local function read(account)
  local spent, is_known, held, unsettled = {}, {}, 0, 0
  local fields = redis.call('HGETALL', account)
  for index = 1, #fields, 2 do
    local field, value = fields[index], tonumber(fields[index + 1]) or 0
    local kind, rest = string.sub(field, 1, 2), string.sub(field, 3)
    local period, start, member = string.match(rest, '^(%d+):(%-?%d+):?(.*)$')
    if field == 'u' then
      unsettled = value
    elseif kind == 'h:' then
      if is_alive(KEYS[1], rest) then
        held = held + math.max(value, 0)
      else
        redis.call('HDEL', account, field)
      end
    elseif period and tonumber(start) + tonumber(period) + 60000 < now_ms then
      redis.call('HDEL', account, field)
    elseif kind == 's:' then
      spent[rest] = (spent[rest] or 0) + value
      is_known[rest] = true
    elseif kind == 'p:' then
      if is_alive(KEYS[1], member) then
        local window = period .. ':' .. start
        spent[window] = (spent[window] or 0) + value
      else
        redis.call('HDEL', account, field)
      end
    end
  end
  return spent, is_known, held, unsettled
end

for index = 3, #KEYS do
  local windows = tonumber(ARGV[at])
  at = at + 1
  local spent, is_known, held, unsettled = read(KEYS[index])
  for number = 0, windows - 1 do
    local window, limit, seed = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    at = at + 3
    local total = (spent[window] or 0) + unsettled
    if not is_known[window] then
      redis.call('HSET', KEYS[index], 's:' .. window, seed)
      total = total + seed
    end
    if total + held >= limit then
      return { 1, index - 3, number, total >= limit and 1 or 0, {} }
    end
    totals[#totals + 1] = total
  end
end
for index = 3, #KEYS do
  redis.call('HINCRBY', KEYS[index], 'h:' .. ARGV[1], amount)
  redis.call('EXPIRE', KEYS[index], 86400)
end
return { 0, 0, 0, 0, totals }
