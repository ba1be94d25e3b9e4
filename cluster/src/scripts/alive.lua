-- Is this member alive? Asked of `signalbox:members` once for each.
local known = {}
local function is_alive(members, member)
  if known[member] == nil then
    local heard = redis.call('ZSCORE', members, member)
    known[member] = heard ~= false and now_ms - tonumber(heard) <= LEASE_MS
  end
  return known[member]
end
