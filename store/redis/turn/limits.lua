-- Flows with limits of their own, and groups with a maximum, which hold over their
-- priorities together. A group's mark and path stand for it.

local limits     -- those looked at so far, by their ids; false where there is none
local any_limits -- whether there are any, once that was looked at
step(function() limits, any_limits = {}, nil end)

local audit_limits

-- Look at the accounts of many flows at once: what may be in flight and is, unread
-- grants included; tokens a minute and what is left of them.
local function look_at_limits(ids)
  if #ids == 0 then return end
  if any_limits == nil then
    local keys = call('EXISTS', LIMITS, HELD)
    any_limits = keys > 0
    if keys == 1 then audit_limits() end -- one of the two was lost
  end
  local unknown = {}
  for _, id in ipairs(ids) do
    if limits[id] == nil then insert(unknown, id) end
  end
  local records = any_limits and list_many('HMGET', LIMITS, unknown) or {}
  local held = any_limits and list_many('HMGET', HELD, unknown) or {}
  for i, id in ipairs(unknown) do
    local m = records[i] and decode.limit(records[i]) or false
    if m then m.held = tonumber(held[i] or 0) end
    limits[id] = m
  end
end

-- The account of a flow or a group with a limit of its own, or nil.
local function limit_of(id)
  if limits[id] == nil and any_limits ~= false then look_at_limits({ id }) end
  return limits[id] or nil
end

-- How many tokens are left; level is what was left at a time.
local function left_of(m) return math.min(m.per_minute, m.level + math.max(0, now - m.at) * (m.per_minute / 60e6)) end

local function spend(m, tokens) m.level, m.at, m.moved = left_of(m) - tokens, now, true end

local function is_open(m) return (m.max == 0 or m.held < m.max) and (m.per_minute == 0 or left_of(m) > 0) end

local function save_limits()
  local records = {}
  for id, m in pairs(limits) do
    if m and m.moved then
      insert(records, id)
      insert(records, encode.limit(m))
      m.moved = false
    end
  end
  if #records == 0 then return end
  call_many('HSET', LIMITS, records)
  call('HSET', HELD, SENTINEL, '0')
end

-- Count more or fewer of the requests in flight of a flow or a group.
local function hold_limited(id, delta)
  if delta == 0 then return end
  if call('HINCRBY', HELD, id, exact(delta)) == 0 then call('HDEL', HELD, id) end
  local m = limits[id]
  if m then m.held = m.held + delta end
end

-- Count a grant to an ingress.
local function hold_granted(id, ingress)
  hold_limited(id, 1)
  if call('HINCRBY', limited_key(ingress), id, '1') == 1 then expire(limited_key(ingress)) end
end

-- Count those at a replica anew. It returns how many were counted before.
local function count_limited(r, id, count)
  local key = limited_key(r.id)
  local before = tonumber(call('HGET', key, id) or 0)
  if count == before then return before end
  hold_limited(id, count - before)
  if count == 0 then
    call('HDEL', key, id)
  else
    call('HSET', key, id, exact(count))
    if before == 0 then expire(key) end
  end
  return before
end

local function drop_limited(holder)
  for _, id in ipairs(call('HKEYS', limited_key(holder))) do count_limited({ id = holder }, id, 0) end
end

-- Add up anew what is in flight under limits, once a second.
function audit_limits()
  local held = {}
  for _, id in ipairs(holders()) do
    local counts = call('HGETALL', limited_key(id))
    for i = 1, #counts, 2 do held[counts[i]] = (held[counts[i]] or 0) + tonumber(counts[i + 1]) end
    expire(limited_key(id))
  end
  local fields = { SENTINEL, '0' }
  for id, count in pairs(held) do
    insert(fields, id)
    insert(fields, exact(count))
  end
  call('DEL', HELD)
  call_many('HSET', HELD, fields)
  for id, m in pairs(limits) do
    if m then m.held = held[id] or 0 end
  end
  expire(HELD)
  expire(LIMITS)
end

-- Forget accounts that say nothing any more, a part of them at a time: a pool may have
-- had many such flows.
local FORGOTTEN_AT_ONCE = '256'
local function forget_limits()
  local scan = call('HSCAN', LIMITS, match(fleet.scanned, '^%d+$') or '0', 'COUNT', FORGOTTEN_AT_ONCE)
  fleet.scanned = scan[1]
  local forgotten = {}
  for i = 1, #scan[2], 2 do
    local id = scan[2][i]
    local m = limits[id] or decode.limit(scan[2][i + 1])
    if now - m.seen >= 60e6 and left_of(m) >= m.per_minute and call('HEXISTS', HELD, id) == 0 then
      insert(forgotten, id)
      limits[id] = false
      order.guarantee(id, 0)
    end
  end
  call_many('HDEL', LIMITS, forgotten)
end
