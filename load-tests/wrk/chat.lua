-- Plain chat requests of about 1 KB for wrk:
--   wrk -t1 -c32 -d10s -s load-tests/wrk/chat.lua http://127.0.0.1:9000 -- [model] [key] [path] [stream]
-- `stream` as the fourth argument asks for streams. Prints status errors at the end, because wrk
-- counts them without saying which.

local filler = "The quick brown fox jumps over the lazy dog while nobody at the signal box is watching. "

function init(args)
  local model = args[1] or "gpt-4o-mini"
  local key = args[2] or "sk-mock"
  local path = args[3] or "/v1/chat/completions"
  local stream = args[4] == "stream"
  wrk.method = "POST"
  wrk.path = path
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. key
  wrk.body = string.format(
    '{"model":"%s","temperature":0.2,%s"messages":[{"role":"system","content":"%s"},{"role":"user","content":"Say this in fewer words, please."}]}',
    model,
    stream and '"stream":true,"stream_options":{"include_usage":true},' or "",
    string.rep(filler, 9)
  )
end

-- No `request` function: wrk then formats the request once instead of calling Lua for each.

function done(summary, latency, requests)
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
