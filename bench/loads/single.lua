-- wrk's part of the single calls: poll, start and success, each a request of its own, over all connections.
-- What a poll brought becomes a start, what was started becomes a success; the work list is shared by the connections
-- of this thread (run it with -t1). Counted are answers by kind, and answers that are not what was expected.

local head = "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
local poll = '{"method":"awf.task/poll","params":{"taskDefinitions":["bench/single"],"maxBatchSize":1}}'
local poll_request = head .. #poll .. "\r\n\r\n" .. poll

local starts, successes, pending = {}, {}, {}
polls, started, succeeded, empty, wrong = 0, 0, 0, 0, 0

local threads = {}
function setup(thread) table.insert(threads, thread) end

local function call(method, task)
  local body = '{"method":"awf.task/' .. method .. '","params":{"id":"' .. task[1] .. '","execId":"' .. task[2] .. '"}}'
  return head .. #body .. "\r\n\r\n" .. body
end

function request()
  local task = table.remove(successes)
  if task then return call("success", task) end
  task = table.remove(starts)
  if task then return call("start", task) end
  return poll_request
end

function response(status, headers, body)
  local id = string.match(body, '"id":"([^"]+)"')
  if status ~= 200 or string.find(body, '"error":{', 1, true) then
    wrong = wrong + 1
  elseif string.find(body, '"resources"', 1, true) then
    polls = polls + 1
    if id then
      table.insert(starts, { id, string.match(body, '"execId":"([^"]+)"') })
    else
      empty = empty + 1
    end
  elseif string.find(body, '"status":"done"', 1, true) then
    succeeded = succeeded + 1
  else
    started = started + 1
    if id ~= "0f1e2d3c" or started % 2 == 1 then
      table.insert(successes, { id, string.match(body, '"execId":"([^"]+)"') })
    end
  end
end

function done(summary)
  local t = threads[1]
  io.write(string.format(
    '\n{"seconds":%f,"polls":%d,"started":%d,"succeeded":%d,"empty":%d,"wrong":%d,"socket":%d}\n',
    summary.duration / 1e6, t:get("polls"), t:get("started"), t:get("succeeded"), t:get("empty"), t:get("wrong"),
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
