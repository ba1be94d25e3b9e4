-- Adds what was counted elsewhere. KEYS: a window. ARGV: seconds ago and an amount, again and again.
local window = open(KEYS[1])
for at = 1, #ARGV, 2 do
  local age = tonumber(ARGV[at])
  if age < SLOTS then
    add(window, window.second - age, tonumber(ARGV[at + 1]))
  end
end
