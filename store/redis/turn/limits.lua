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
    m = false
    if record then
      local f = split(record, FIELD)
      m = {
        max = tonumber(f[1]), held = tonumber(f[2]), per_minute = tonumber(f[3]), level = tonumber(f[4]), at = tonumber(f[5]),
        seen = tonumber(f[6]),
      }
    end
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
      call('HSET', LIMITS, id, concat({ exact(m.max), exact(m.held), exact(m.per_minute), exact(m.level), exact(m.at), exact(m.seen) }, FIELD))
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
  for id in pairs(load_hash(limited_key(r.id), tonumber)) do
    if id ~= SENTINEL then count_limited(r, id, 0) end
  end
end
