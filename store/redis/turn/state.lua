-- State, loaded when needed and written back where it changed.

local function load_hash(key, read)
  local flat, loaded = call('HGETALL', key), {}
  for i = 1, #flat, 2 do loaded[flat[i]] = read(flat[i + 1]) end
  return loaded
end

-- A pool's ledger is kept in one format at a time. While replicas of another version
-- keep it in theirs, this one must do without; once none of them has taken a turn for
-- a lease, it begins anew.
local keeper = call('HMGET', root, 'format', 'until')
local kept_until = tonumber(keeper[2] or 0)
local taken_over = keeper[1] and keeper[1] ~= format_number
if taken_over and now < kept_until then return redis.error_reply('FORMAT ' .. keeper[1]) end
if taken_over or kept_until < now + lease then
  call('HSET', root, 'format', format_number, 'until', exact(now + 2 * lease))
  expire(root)
end

local m = call('HMGET', base, 'generation', 'recovering', 'recovered', 'expected', 'counted', 'totals', 'bands', 'audited')
local meta = {
  generation = tonumber(m[1] or 0), recovering = m[2] == '1', recovered = tonumber(m[3] or 0), expected = tonumber(m[4] or 0),
}
local fleet = { counted = tonumber(m[5] or 0), members = 0, held = 0, queued = 0, bytes = 0, bands = {} }
local totals = split(m[6] or '', FIELD)
for i, name in ipairs({ 'held', 'queued', 'bytes', 'members' }) do
  fleet[name] = tonumber(totals[i])
  if not fleet[name] then fleet[name], fleet.counted = 0, 0 end -- they are not there, or do not parse
end
for _, b in ipairs(read_bands(m[7] or '')) do fleet.bands[b.priority] = b end
local recount = now - fleet.counted >= RECOUNT_AFTER or now < fleet.counted
local audited = tonumber(m[8] or 0) -- when endpoints' loads were last added up

local books = load_hash(BOOKS, read_book)
local bands = load_hash(BANDS, read_band)
local replicas = {} -- those looked at so far; false where there is none

local function replica(id)
  local r = replicas[id]
  if r == nil then
    local record = call('HGET', REPLICAS, id)
    r = record and read_replica(record) or false
    replicas[id] = r
  end
  return r
end

local function every_replica()
  for _, id in ipairs(call('HKEYS', REPLICAS)) do replica(id) end
  return replicas
end

local function held_by(r)
  local held = r.unread
  for _, b in ipairs(bands_of(r)) do held = held + b.in_flight end
  return held
end

-- Add what a replica states to the fleet's totals, or take it off.
local function count_in(r, sign)
  fleet.held = fleet.held + sign * held_by(r)
  for _, b in ipairs(bands_of(r)) do
    local band = fleet.bands[b.priority]
    if not band then
      band = { priority = b.priority, limit = NO_OPINION, in_flight = 0, queued = 0, bytes = 0 }
      fleet.bands[b.priority] = band
    end
    fleet.queued, fleet.bytes = fleet.queued + sign * b.queued, fleet.bytes + sign * b.bytes
    band.queued, band.bytes = band.queued + sign * b.queued, band.bytes + sign * b.bytes
    band.in_flight = band.in_flight + sign * b.in_flight
  end
end

-- Add the fleet's totals up anew. The least limit that a live replica states for
-- a band holds.
local function count_fleet()
  fleet = { counted = now, members = 0, held = 0, queued = 0, bytes = 0, bands = {} }
  for id, r in pairs(every_replica()) do
    if r then
      fleet.members = fleet.members + 1
      count_in(r, 1)
      for _, b in ipairs(bands_of(r)) do
        local band = fleet.bands[b.priority]
        if b.limit ~= NO_OPINION and (band.limit == NO_OPINION or b.limit < band.limit) then band.limit = b.limit end
      end
      call('ZADD', LEASES, 'NX', exact(now + lease), id) -- heals a lease that was lost
    end
  end
end
