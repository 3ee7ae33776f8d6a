-- Sign-ins of a cluster's generated users, for wrk: wrk -t1 -c64 -d20s --latency -s sign-ins.lua http://127.0.0.1:7010
-- They are made before, so that wrk's own cost is that of sending them.
local requests, at = {}, 0

function init()
  for n = 1, 20000 do
    local user = string.format("user%06d@corp.example.com", n)
    local body = string.format('{"username":"%s","password":"Postern-%06d"}', user, n)
    requests[n] = wrk.format("POST", "/v1/sign-in", { ["Content-Type"] = "application/json" }, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
