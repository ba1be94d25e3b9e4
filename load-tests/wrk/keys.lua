-- Chat requests of about 1 KB with a key of chance each, for wrk; bench/macro/keys.py makes the keys:
--   wrk -t1 -c32 -d10s -s load-tests/wrk/keys.lua http://127.0.0.1:9000 -- MODEL KEYS

local filler = "The quick brown fox jumps over the lazy dog while nobody at the signal box is watching. "
local TEXTS = 10000
local requests = {}

function init(args)
  local body = string.format(
    '{"model":"%s","max_tokens":100,"messages":[{"role":"system","content":"%s"}]}',
    args[1],
    string.rep(filler, 10)
  )
  local headers = { ["Content-Type"] = "application/json" }
  -- As many texts whatever the number of keys, so that the client fills the caches alike. Each says its number, or Lua would
  -- keep those of a single key as one string.
  for index = 0, TEXTS - 1 do
    headers["X-Text"] = string.format("%05d", index)
    headers["Authorization"] = string.format("Bearer sk-bench-%040d", index % tonumber(args[2]))
    requests[index + 1] = wrk.format("POST", "/v1/chat/completions", headers, body)
  end
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    "rps %.0f p50 %.3f ms p99 %.3f ms status-errors %d socket-errors %d\n",
    summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000,
    latency:percentile(99) / 1000,
    errors.status,
    errors.connect + errors.read + errors.write + errors.timeout
  ))
end
