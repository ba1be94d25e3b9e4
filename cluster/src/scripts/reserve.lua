-- Do the tokens fit into a key's minute? KEYS: born, its tokens. ARGV: tpm, tokens. Answers: 0, 1 or -1 as in admit.lua,
-- the wait, what is left, the second that they are counted in. More than the whole limit passes an empty window.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return { -1, 0, 0, 0 }
end
local tpm, tokens = tonumber(ARGV[1]), tonumber(ARGV[2])
local window = open(KEYS[2])
if window.sum > 0 and window.sum + tokens > tpm then
  return { 1, wait(window, math.min(tokens, tpm), tpm), math.max(tpm - window.sum, 0), 0 }
end
add(window, window.second, tokens)
return { 0, 0, math.max(tpm - window.sum, 0), window.second }
