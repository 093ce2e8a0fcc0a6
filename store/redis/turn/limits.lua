-- Flows with limits of their own.

local limits = {} -- those looked at so far; false where there is none
local any_limits  -- whether there are any, once that was looked at

-- The account of a flow with a limit of its own, or nil: what may be in flight and
-- is, unread grants included; tokens a minute and what is left of them.
local function limit_of(id)
  local m = limits[id]
  if any_limits == nil then any_limits = call('EXISTS', LIMITS) == 1 end
  if m == nil and any_limits then
    local record = call('HGET', LIMITS, id)
    m = record and read_limit(record) or false
    limits[id] = m
  end
  return m or nil
end

-- How many tokens are left; level is what was left at a time.
local function left_of(m) return math.min(m.per_minute, m.level + math.max(0, now - m.at) * (m.per_minute / 60e6)) end

local function spend(m, tokens) m.level, m.at, m.moved = left_of(m) - tokens, now, true end

local function is_open(m) return (m.max == 0 or m.held < m.max) and (m.per_minute == 0 or left_of(m) > 0) end

local function save_limits()
  for id, m in pairs(limits) do
    if m and m.moved then
      call('HSET', LIMITS, id, write_limit(m))
      m.moved = false
    end
  end
end

-- Count a flow's requests at a replica anew.
local function count_limited(r, id, count)
  local key = limited_key(r.id)
  local before = tonumber(call('HGET', key, id) or 0)
  local m = limit_of(id)
  if m then m.held, m.moved = m.held + count - before, true end
  if count == 0 then
    call('HDEL', key, id)
  elseif count ~= before then
    call('HSET', key, id, exact(count))
    if before == 0 then expire(key) end
  end
end

local function drop_limited(r)
  for _, id in ipairs(call('HKEYS', limited_key(r.id))) do count_limited(r, id, 0) end
end
