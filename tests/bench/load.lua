-- What wrk sends and what it counts. Arguments behind the URL:
--   "compare" or "count" · method · file of the request's body or "" · file of the response's
--   body · media type of the request's body or "" · paths to ask for in turn or ""
local threads, asked = {}, 0
wrong = 0

local function contents(name)
   local file = assert(io.open(name, "rb"))
   local text = file:read("*a")
   file:close()
   return text
end

function setup(thread)
   table.insert(threads, thread)
end

function init(args)
   wrk.method = args[2]
   if args[3] ~= "" then wrk.body = contents(args[3]) end
   if args[5] ~= "" then wrk.headers["Content-Type"] = args[5] end
   if args[1] == "compare" then
      local expected = contents(args[4])
      function response(status, headers, body)
         if status ~= 200 or body ~= expected then wrong = wrong + 1 end
      end
   end
   if args[6] ~= "" then
      local requests = {}
      for path in args[6]:gmatch("%S+") do
         table.insert(requests, wrk.format(nil, path))
      end
      function request()
         asked = asked % #requests + 1
         return requests[asked]
      end
   end
end

function done(summary, latency)
   local wrong_ones, errors = 0, summary.errors
   for _, thread in ipairs(threads) do wrong_ones = wrong_ones + thread:get("wrong") end
   io.write(string.format(
      '{"requests":%d,"bytes":%.0f,"seconds":%.6f,"wrong":%d,"connect":%d,"read":%d,"write":%d,'
      .. '"status":%d,"timeout":%d,"p50":%.3f,"p99":%.3f,"p99.9":%.3f}\n',
      summary.requests, summary.bytes, summary.duration / 1e6, wrong_ones, errors.connect,
      errors.read, errors.write, errors.status, errors.timeout, latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3))
end
