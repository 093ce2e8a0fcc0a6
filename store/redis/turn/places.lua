-- What endpoints take, and where grants go. The functions are fields of one table: Lua has
-- room for 200 names. Where no replica states a capacity, nothing of it is kept.

do

local of_all, ranked      -- of the fleet; the endpoints by their loads, once they were looked at
local all_ranked          -- whether these are all
local of, reached, listed -- by replica
local changed, moved      -- what is to be written
local closed              -- endpoints that some replica sends no more requests to, a set; nil until it is asked for
local out_of_use          -- how many requests are in flight where none is sent any more, once that was added up
local short_since         -- by ingress
step(function()
  of, reached, listed, changed, moved = {}, {}, {}, {}, {}
  all_ranked = false
  of_all, ranked, closed, out_of_use, short_since = nil, nil, nil, nil, nil
  places.over, places.over_of, places.wanted, places.passed_over = {}, {}, false, false
end)

local NONE = { capacity = 0, permits = 0 }

local function read_all(key)
  local records, list = {}, fleet.bounded and call('HGETALL', key) or {}
  for i = 1, #list, 2 do records[list[i]] = decode.place(list[i + 1]) end
  return records
end

local function all()
  if not of_all then
    of_all = read_all(PLACES)
    local sum = 0
    for _, place in pairs(of_all) do sum = sum + place.capacity end
    if sum ~= fleet.capacity then damaged('places', sum) end
  end
  return of_all
end

local function places_of(id)
  of[id] = of[id] or read_all(places_key(id))
  return of[id]
end

-- What a replica has at an endpoint, as it states it.
function places.at(id, endpoint) return places_of(id)[endpoint] or NONE end

local function closed_somewhere()
  if not closed then
    closed = {}
    for _, endpoint in ipairs(split(fleet.closed, ITEM)) do closed[endpoint] = true end
  end
  return closed
end
function places.save_closed()
  if not closed then return end
  local list = {}
  for endpoint in pairs(closed) do insert(list, endpoint) end
  fleet.closed = concat(list, ITEM)
end

-- Work out what an endpoint takes: the least that a live replica states.
local function bound(endpoint, place)
  local least = 0
  closed_somewhere()[endpoint] = nil
  for id, r in pairs(every_replica()) do
    local says = r and places.at(id, endpoint).capacity or 0
    if says > 0 and (least == 0 or says < least) then least = says end
    if says == places.CLOSED then closed[endpoint] = true end
  end
  fleet.capacity, place.capacity = fleet.capacity + least - place.capacity, least
end

-- Set what a replica states of an endpoint.
function places.state(id, endpoint, capacity, permits)
  local had = places.at(id, endpoint)
  if had.capacity == capacity and had.permits == permits then return end
  local place = all()[endpoint] or { capacity = 0, permits = 0 }
  fleet.bounded, of_all[endpoint] = true, place
  places_of(id)[endpoint] = (capacity ~= 0 or permits > 0) and { capacity = capacity, permits = permits } or nil
  place.permits = place.permits + permits - had.permits
  if capacity ~= had.capacity then bound(endpoint, place) end
  changed[id] = changed[id] or {}
  changed[id][endpoint], moved[endpoint] = true, true
end

-- Take in that a replica's lease ended: it lists no endpoint, but what it had there still
-- counts, with the permits that it may have spent.
function places.leave(id)
  for endpoint, place in pairs(places_of(id)) do
    if place.permits > 0 then
      call('HINCRBY', loads_key(id), endpoint, exact(place.permits))
      if call('ZSCORE', LOAD, endpoint) then call('ZINCRBY', LOAD, exact(place.permits), endpoint) end
    end
    places.state(id, endpoint, 0, 0)
  end
end

-- Write what changed.
local function write(key, endpoints, from)
  local written, deleted = {}, {}
  for endpoint in pairs(endpoints) do
    local place = from[endpoint]
    if place and (place.capacity ~= 0 or place.permits > 0) then
      insert(written, endpoint)
      insert(written, encode.place(place))
    else
      insert(deleted, endpoint)
    end
  end
  call_many('HSET', key, written)
  call_many('HDEL', key, deleted)
  if #written > 0 then expire(key) end
end
function places.save()
  for id, endpoints in pairs(changed) do write(places_key(id), endpoints, places_of(id)) end
  if next(moved) then write(PLACES, moved, of_all) end
  changed, moved = {}, {}
end

-- What a replica states as a part of so much capacity, as the same part of all that the
-- endpoints have.
function places.of_fleet(part, whole)
  if whole == 0 or fleet.capacity == 0 or fleet.capacity == whole then return part end
  return part * fleet.capacity / whole
end

-- Work out the bands' limits, guarantees and weights: the least that a live replica states
-- holds. A band that nobody knows a limit for has the highest of the others', and one that
-- nobody states has no weight either. If totals were added up anew, before are those that were.
function places.relimit(before)
  local weights = {}
  for priority, band in pairs(before or fleet.bands) do weights[priority] = band.weight end
  for _, band in pairs(fleet.bands) do band.limit, band.guaranteed, band.weight = NO_OPINION, 0, NO_OPINION end
  for _, r in pairs(every_replica()) do
    for _, b in ipairs(r and bands_of(r) or {}) do
      local band, limit = fleet.bands[b.priority], b.limit
      band.weight = band.weight == NO_OPINION and b.weight or math.min(band.weight, b.weight)
      if limit ~= NO_OPINION then
        local guaranteed = places.of_fleet(b.guaranteed, r.capacity)
        if limit < UNLIMITED then limit = math.floor(places.of_fleet(limit, r.capacity)) end
        if band.limit == NO_OPINION then band.limit, band.guaranteed = limit, guaranteed end
        band.limit, band.guaranteed = math.min(band.limit, limit), math.min(band.guaranteed, guaranteed)
      end
    end
  end
  local highest = NO_OPINION
  for _, band in pairs(fleet.bands) do highest = math.max(highest, band.limit) end
  for priority, band in pairs(fleet.bands) do
    order.reweigh(priority, weights[priority] or NO_OPINION, band.weight)
    weights[priority] = nil
    if band.limit == NO_OPINION then band.limit = highest end
  end
  order.look_at_all_again()
  for priority, weight in pairs(weights) do order.reweigh(priority, weight, NO_OPINION) end -- nobody states these
end

-- Add up anew what endpoints take, once a second. It does not drift.
function places.audit()
  if not fleet.bounded then return end
  places.save()
  call('DEL', PLACES)
  of_all, closed = {}, {}
  for id, r in pairs(every_replica()) do
    for endpoint, place in pairs(r and places_of(id) or {}) do
      local sum = of_all[endpoint] or { capacity = 0, permits = 0 }
      of_all[endpoint], moved[endpoint] = sum, true
      sum.permits = sum.permits + place.permits
      if place.capacity == places.CLOSED then closed[endpoint] = true end
      if place.capacity > 0 and (sum.capacity == 0 or place.capacity < sum.capacity) then sum.capacity = place.capacity end
    end
    expire(places_key(id))
  end
  local capacity = 0
  for _, sum in pairs(of_all) do capacity = capacity + sum.capacity end
  if capacity ~= fleet.capacity then damaged('places', capacity) end
  fleet.bounded = next(of_all) ~= nil
  places.save()
end

-- Whether an endpoint takes another request.
local function has_room(at)
  local place = all()[at.endpoint] or NONE
  return place.capacity == 0 or place.capacity - math.floor(at.score) - place.permits > 0
end

-- The endpoints by their loads; of equals, the one that was suggested longest ago is first.
local function by_load(last)
  local list, scores = {}, call('ZRANGE', LOAD, '0', last, 'WITHSCORES')
  for i = 1, #scores, 2 do
    local score = tonumber(scores[i + 1])
    if not (score and score >= 0 and score < LARGEST) then damaged('load', scores[i + 1]) end
    insert(list, { endpoint = scores[i], score = score })
  end
  return list
end

-- Whether a replica lists an endpoint.
local function lists(id, endpoint)
  listed[id] = listed[id] or {}
  if listed[id][endpoint] == nil then listed[id][endpoint] = call('HEXISTS', loads_key(id), endpoint) == 1 end
  return listed[id][endpoint]
end

-- How many requests are in flight at endpoints that no replica with a lease sends requests to
-- any more.
local function is_closed(id, endpoint)
  if of[id] then return places.at(id, endpoint).capacity == places.CLOSED end
  local record = call('HGET', places_key(id), endpoint)
  return record and decode.place(record).capacity == places.CLOSED
end
local function is_in_use(endpoint)
  for id, r in pairs(every_replica()) do
    if r and not is_closed(id, endpoint) and lists(id, endpoint) then return true end
  end
end
function places.out_of_use()
  if out_of_use or fleet.capacity == 0 then return out_of_use or 0 end
  out_of_use = 0
  for endpoint in pairs(closed_somewhere()) do
    if not is_in_use(endpoint) then out_of_use = out_of_use + math.floor(tonumber(call('ZSCORE', LOAD, endpoint) or 0)) end
  end
  for id in pairs(lost) do
    local counts = call('HGETALL', loads_key(id))
    for i = 1, #counts, 2 do
      if not call('ZSCORE', LOAD, counts[i]) then out_of_use = out_of_use + tonumber(counts[i + 1]) end
    end
  end
  return out_of_use
end

-- What is taken of the limits: what is held, but for these requests, of which the limits have
-- nothing. All float is of the others.
function places.occupied()
  local taken = fleet.held
  if fleet.capacity > 0 then taken = taken - places.out_of_use() end
  return taken > fleet.float and taken or fleet.float
end

-- Whether an ingress sends requests to an endpoint.
local function sends(id, endpoint)
  if not reached[id] then
    reached[id] = {}
    for _, name in ipairs(call('HKEYS', loads_key(id))) do reached[id][name] = true end
  end
  return reached[id][endpoint] and places.at(id, endpoint).capacity ~= places.CLOSED
end
places.sends = sends

-- Whether a replica sends requests to all endpoints that have limits, or none has any.
function places.reaches_all(id)
  if not fleet.bounded or fleet.capacity == 0 then return true end
  for endpoint, place in pairs(all()) do
    if place.capacity > 0 and not sends(id, endpoint) then return false end
  end
  return true
end

-- How many requests of a replica are at each endpoint, unread grants included.
function places.loads_of(id)
  local had, list = {}, call('HGETALL', loads_key(id))
  for i = 1, #list, 2 do had[list[i]] = tonumber(list[i + 1]) end
  return had
end

-- The endpoint that is preferred, where capacity is by endpoint, or else the one with the
-- least load, of those that an ingress lists and that have room, as a place in the list of
-- all; nil if it lists none. If all that it lists are full, the second value is set, and the
-- third if they would not be but for permits. Where capacity is by endpoint, one that lists
-- none has no room at all.
function places.choose(id, prefer)
  if not fleet.bounded or fleet.capacity == 0 then
    if not ranked then
      ranked = by_load('0')
      all_ranked = #ranked == 0
    end
    if not all_ranked and (ranked.granted or not lists(id, ranked[1].endpoint)) then ranked, all_ranked = by_load('-1'), true end
    for i, at in ipairs(ranked) do
      if lists(id, at.endpoint) then return i end
    end
    return nil
  end
  ranked = ranked or by_load('-1')
  if prefer and sends(id, prefer) then
    for i, at in ipairs(ranked) do
      if at.endpoint == prefer and has_room(at) then return i end
    end
  end
  local by_permits = false
  for i, at in ipairs(ranked) do
    if sends(id, at.endpoint) then
      if has_room(at) then return i end
      by_permits = by_permits or (all()[at.endpoint] or NONE).permits > 0
    end
  end
  return nil, true, by_permits
end

-- Send a grant's ingress to the endpoint in that place, and count the grant there. It
-- returns the endpoint, and what its load was.
local WRAP = 1073741824 -- microseconds that a fraction of a request stands for at most
function places.suggest(id, i)
  if not i then return '', 0 end
  local at = ranked[i]
  ranked.granted = true -- it may not be the first any more
  local load = math.floor(at.score)
  at.score = load + 1 + now % WRAP / WRAP
  call('ZADD', LOAD, exact(at.score), at.endpoint)
  if call('HINCRBY', loads_key(id), at.endpoint, '1') == 1 then expire(loads_key(id)) end
  local after = ranked[i + 1]
  while after and (after.score < at.score or after.score == at.score and ranking.goes_before(after.endpoint, at.endpoint)) do
    ranked[i], ranked[i + 1], i = after, at, i + 1
    after = ranked[i + 1]
  end
  return at.endpoint, load
end

-- Leave an offer standing whose ingress reaches no endpoint with room, and have others go
-- meanwhile.
local SHORT_FOR = 1000000
local function short()
  if not short_since then
    short_since = {}
    for _, item in ipairs(split(fleet.short, ITEM)) do
      local record = decode.short(item)
      if now - record.at < SHORT_FOR and now >= record.at then short_since[record.ingress] = record.at end
    end
  end
  return short_since
end
function places.pass_over(offer, member, ingress)
  places.over_of[book_at(offer.book).priority] = true
  leave_book(offer, member)
  offer.idle_groups = 0 -- it was lifted when it was first offered, if it needed to be
  insert(places.over, { offer = offer, member = member })
  if not short()[ingress] then places.wanted = true end -- whoever does not hear of it by a reply may keep what ended to itself
  short()[ingress] = now
end

-- Have the offers stand that were passed over.
function places.stand_again()
  for _, o in ipairs(places.over) do stand(o.offer, o.member, false) end
  places.over, places.over_of = {}, {}
end

-- The ingresses that are short of room.
function places.name_short()
  local ids = {}
  if not short_since and fleet.short == '' then return ids end
  for id in pairs(short()) do insert(ids, id) end
  ranking.sort(ids)
  return ids
end
function places.save_short()
  if not short_since and fleet.short == '' then return end
  local items = {}
  for id, at in pairs(short()) do insert(items, encode.short({ ingress = id, at = at })) end
  fleet.short = concat(items, ITEM)
end

-- Give a replica permits at the endpoints that it states, of what is free there no more than
-- a part in all, in equal parts to all replicas.
function places.permit(id, listing, part)
  for _, st in ipairs(listing) do
    local had, place = places.at(id, st.endpoint), all()[st.endpoint]
    if st.wanted > 0 and had.capacity ~= places.CLOSED and place and place.capacity > 0 then
      local free = place.capacity - math.floor(tonumber(call('ZSCORE', LOAD, st.endpoint) or 0))
      local half = math.floor(free / part)
      local give = math.min(math.min(st.wanted, math.floor(half / fleet.members)) - had.permits, half - place.permits)
      if give > 0 then places.state(id, st.endpoint, had.capacity, had.permits + give) end
    end
  end
end

-- For the reply: what the replica may have at the endpoints that it states, and what all
-- endpoints take.
function places.permits_of(id, listing)
  local list = {}
  for _, st in ipairs(listing) do
    if st.permits + st.wanted > 0 then insert(list, { endpoint = st.endpoint, permits = places.at(id, st.endpoint).permits }) end
  end
  return list
end
function places.listed()
  local list = {}
  if not fleet.bounded then return list end
  for endpoint, place in pairs(all()) do
    insert(list, { endpoint = endpoint, capacity = place.capacity, permits = place.permits })
  end
  return list
end

end
