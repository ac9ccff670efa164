-- Cycle through the numbered body files of a folder; print one line of JSON at the end.
-- Usage: wrk -s wrk.lua URL -- FOLDER CONTENT-TYPE

local requests = {}
local turn = 0

function init(arguments)
  local headers = { ["Content-Type"] = arguments[2] }
  while true do
    local file = io.open(arguments[1] .. "/" .. (#requests + 1), "rb")
    if not file then break end
    requests[#requests + 1] = wrk.format("POST", nil, headers, file:read("*a"))
    file:close()
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"p50":%.1f,"p99":%.1f,"errors":%d,"refused":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout, errors.status
  ))
end
