-- Loads of endpoints. The functions are fields of one table: Lua has room for 200 names.

local loads = {}
do

-- What lost replicas have at an endpoint: it counts where another lists the endpoint.
local function load_of_lost(endpoint)
  local sum = 0
  for id in pairs(lost) do sum = sum + tonumber(call('HGET', loads_key(id), endpoint) or 0) end
  return sum
end

-- Set a replica's loads at endpoints, by name.
function loads.count(id, endpoints, counts)
  local key, written, new = loads_key(id), {}, false
  for i, before in ipairs(list_many('HMGET', key, endpoints)) do
    local endpoint = endpoints[i]
    local count = counts[endpoint]
    before = before and tonumber(before)
    if before ~= count then
      if not before and fleet.lost > 0 and not call('ZSCORE', LOAD, endpoint) then
        call('ZADD', LOAD, exact(load_of_lost(endpoint)), endpoint)
      end
      insert(written, endpoint)
      insert(written, exact(count))
      call('ZINCRBY', LOAD, exact(count - (before or 0)), endpoint)
      new = new or not before
    end
  end
  call_many('HSET', key, written)
  if new then
    expire(key)
    expire(LOAD)
  end
end

local any_tokens -- whether there are any, once that was looked at
step(function() any_tokens = nil end)

-- Set the tokens that a replica's requests at an endpoint are expected to cost.
function loads.count_tokens(id, endpoint, count)
  if any_tokens == nil then any_tokens = call('EXISTS', TOKENS) == 1 end
  if count == 0 and not any_tokens then return end
  local key = tokens_key(id)
  local before = tonumber(call('HGET', key, endpoint) or 0)
  if before == count then return end
  any_tokens = true
  if count == 0 then call('HDEL', key, endpoint) else call('HSET', key, endpoint, exact(count)) end
  if call('HINCRBY', TOKENS, endpoint, exact(count - before)) == 0 then call('HDEL', TOKENS, endpoint) end
  expire(key)
  expire(TOKENS)
end

-- Forget what a replica has at an endpoint.
function loads.forget(id, endpoint)
  local count = call('HGET', loads_key(id), endpoint)
  if not count then return end
  call('HDEL', loads_key(id), endpoint)
  loads.count_tokens(id, endpoint, 0)
  if call('ZSCORE', LOAD, endpoint) then call('ZINCRBY', LOAD, exact(-tonumber(count)), endpoint) end
end

function loads.drop(id)
  for _, endpoint in ipairs(call('HKEYS', loads_key(id))) do loads.forget(id, endpoint) end
end

-- Take an endpoint off a replica's list; one that no replica lists is gone.
function loads.unlist(id, endpoint)
  for other, r in pairs(every_replica()) do
    if r and other ~= id and call('HEXISTS', loads_key(other), endpoint) == 1 then return end
  end
  call('ZREM', LOAD, endpoint)
end

function loads.unlist_all(id)
  for _, endpoint in ipairs(call('HKEYS', loads_key(id))) do loads.unlist(id, endpoint) end
end

-- Add the loads up anew, once a second.
function loads.audit()
  local before = call('ZRANGE', LOAD, '0', '-1', 'WITHSCORES')
  call('DEL', LOAD, TOKENS)
  for _, id in ipairs(holders()) do
    local tokens = call('HGETALL', tokens_key(id))
    for i = 1, #tokens, 2 do call('HINCRBY', TOKENS, tokens[i], tokens[i + 1]) end
    local counts = lost[id] and {} or call('HGETALL', loads_key(id))
    for i = 1, #counts, 2 do call('ZINCRBY', LOAD, counts[i + 1], counts[i]) end
    expire(loads_key(id))
    expire(tokens_key(id))
  end
  for id in pairs(lost) do
    local counts = call('HGETALL', loads_key(id))
    for i = 1, #counts, 2 do
      if call('ZSCORE', LOAD, counts[i]) then call('ZINCRBY', LOAD, counts[i + 1], counts[i]) end
    end
  end
  for i = 1, #before, 2 do
    if call('ZSCORE', LOAD, before[i]) then call('ZINCRBY', LOAD, exact(tonumber(before[i + 1]) % 1), before[i]) end
  end
  expire(LOAD)
  expire(TOKENS)
end

end
