-- State, loaded when needed and written back where it changed.

local my_id
step(function() my_id = stated.replica end)

-- Every key gets a TTL, so that an abandoned pool vanishes: when it is made, and
-- again once a second with everything that a turn of this replica uses.
local function expire(key) call('PEXPIRE', key, settings.ttl) end

-- The fleet's state; its totals are of what its replicas state.
local fleet
local recount -- whether the totals are added up anew
step(function()
  local record = call('HGET', base, 'state')
  fleet = record and (take_cached(cached, 'fleet', record, 'state') or decode.state(record)) or {
    generation = 0, recovering = false, recovered = 0, expected = 0, counted = 0, audited = 0, scanned = '0',
    held = 0, queued = 0, bytes = 0, members = 0, lost = 0, float = 0, askers = 0, lent = 0, recalled = 0, totals = '', passed = now,
    in_line = 0, line_wanted = 0, lined = 0, line_recalled = 0, shares = '', bounded = false, capacity = 0, short = '', closed = '', shut_groups = '',
  }
  fleet.recovered = math.min(fleet.recovered, now + settings.recovery) -- clocks may go back
  recount = now - fleet.counted >= RECOUNT_AFTER or now < fleet.counted
end)

-- Totals of bands as one text, and back.
local function write_totals(list)
  local items = {}
  for i, t in ipairs(list) do items[i] = t.record or encode.total(t) end
  return concat(items, ITEM)
end
local function read_totals(s)
  local list = {}
  for i, record in ipairs(split(s, ITEM)) do
    list[i] = decode.total(record)
    list[i].record = record
  end
  return list
end

local replicas -- those looked at so far; false where there is none
local all_seen -- whether that is all of them
local lost     -- replicas without a lease whose requests may be in flight still, by id
step(function()
  if fleet.bands then -- cached
    for _, total in pairs(fleet.bands) do
      if not possible.total(total) then damaged('total', fleet.totals) end
    end
  else
    fleet.bands = {} -- by priority
    for _, total in ipairs(read_totals(fleet.totals)) do
      fleet.bands[total.priority] = total
      total.record = nil -- it will change
    end
  end
  replicas, all_seen, lost = {}, false, {}
  if fleet.lost > 0 then
    local flat = call('HGETALL', LOST)
    for i = 1, #flat, 2 do lost[flat[i]] = decode.lost(flat[i + 1]) end
    if #flat / 2 ~= fleet.lost then damaged('lost', #flat / 2) end
  end
end)

local function see_replica(id, record)
  local r = record and (take_cached(cached.replicas, id, record, 'replica') or decode.replica(record)) or false
  if r and (r.id ~= id or r.unread > r.sent - r.read or r.batch > r.last) then damaged('replica', record) end
  if r then r.text, r.messages = record, nil end
  replicas[id] = r
end

local function replica(id)
  if replicas[id] == nil then see_replica(id, call('HGET', REPLICAS, id)) end
  return replicas[id]
end

local function every_replica()
  if not all_seen then
    local flat = call('HGETALL', REPLICAS)
    for i = 1, #flat, 2 do
      if replicas[flat[i]] == nil then see_replica(flat[i], flat[i + 1]) end
    end
    all_seen = true
  end
  return replicas
end

-- The ids of all that hold something.
local function holders()
  local ids = {}
  for id, r in pairs(every_replica()) do
    if r then insert(ids, id) end
  end
  for id in pairs(lost) do insert(ids, id) end
  return ids
end

-- What the replica stated of its bands; few turns ask it of others.
local function bands_of(r)
  r.totals = r.totals or read_totals(r.bands)
  return r.totals
end

local function held_by(r)
  local held = r.unread + r.float
  for _, b in ipairs(bands_of(r)) do held = held + b.in_flight end
  return held
end

-- How many grants a replica has not read, by priority.
local function granted_to(r)
  if not r.by_priority then
    r.by_priority = {}
    for _, item in ipairs(split(r.granted, ITEM)) do
      local granted = decode.granted(item)
      r.by_priority[granted.priority] = granted.requests
    end
  end
  return r.by_priority
end

local function write_all_granted(r)
  local items = {}
  for priority, n in pairs(granted_to(r)) do insert(items, encode.granted({ priority = priority, requests = n })) end
  return concat(items, ITEM)
end

-- Add a replica's permits and tickets in line to the fleet's totals, or take them off.
local function count_permits(r, sign)
  fleet.held, fleet.float = fleet.held + sign * r.float, fleet.float + sign * r.float
  if r.want_float > 0 then fleet.askers = fleet.askers + sign end
  if r.lent then fleet.lent = fleet.lent + sign end
  fleet.in_line, fleet.line_wanted = fleet.in_line + sign * r.line, fleet.line_wanted + sign * r.want_line
end

-- Add what a replica states to the fleet's totals, or take it off.
local function count_in(r, sign)
  count_permits(r, sign)
  fleet.held = fleet.held + sign * (held_by(r) - r.float)
  for _, b in ipairs(bands_of(r)) do
    local band = fleet.bands[b.priority]
    if not band then
      band = {
        priority = b.priority, book = '', limit = NO_OPINION, guaranteed = 0, weight = NO_OPINION, in_flight = 0, queued = 0, bytes = 0, largest = 0, wanted = 0,
      }
      fleet.bands[b.priority] = band
    end
    fleet.queued, fleet.bytes = fleet.queued + sign * b.queued, fleet.bytes + sign * b.bytes
    band.queued, band.bytes = band.queued + sign * b.queued, band.bytes + sign * b.bytes
    band.in_flight, band.wanted = band.in_flight + sign * b.in_flight, band.wanted + sign * b.wanted
  end
  for priority, n in pairs(granted_to(r)) do
    local band = fleet.bands[priority]
    if band then band.in_flight = band.in_flight + sign * n end
  end
end

local places = { CLOSED = -1 } -- what endpoints take; see places.lua

-- Add the fleet's totals up anew.
local function count_fleet()
  local before = fleet.bands
  fleet.counted, fleet.members, fleet.held, fleet.queued, fleet.bytes, fleet.bands = now, 0, 0, 0, 0, {}
  fleet.float, fleet.askers, fleet.lent, fleet.in_line, fleet.line_wanted = 0, 0, 0, 0, 0
  for _, r in pairs(lost) do fleet.held = fleet.held + r.held end
  for id, r in pairs(every_replica()) do
    if r then
      fleet.members = fleet.members + 1
      count_in(r, 1)
      call('ZADD', LEASES, 'NX', exact(now + settings.lease), id) -- heals a lease that was lost
    end
  end
  places.relimit(before)
  if call('ZCARD', LEASES) ~= fleet.members then damaged('leases', fleet.members) end
  for _, id in ipairs(call('ZRANGEBYSCORE', LEASES, '(' .. exact(now + settings.lease), '+inf')) do
    call('ZADD', LEASES, exact(now + settings.lease), id) -- no lease is longer
  end
end
