-- The line: tickets that are next in order, and stand at their ingresses for slots that end
-- there. See store/memory/line.go.

do

-- There is no line while a request of a band that goes before it came within this time:
-- the next one would wait for those in line to be called back.
local QUIET_FOR = 1000000

-- How many times as many as it has use for stand in line at a replica at most.
local LINE_OVER = 2

-- Above which band all pass, since all that they want is no more than the pool takes; nothing if
-- none does. See store/memory/passing.go.
local function pass_above()
  local most = order.highest_limit()
  if fleet.recovering or #order.guaranteed() > 0 or order.are_weighed() or places.occupied() > most then return nil end
  local room = most
  for _, r in pairs(lost) do room = room - r.held end
  for _, priority in ipairs(order.priorities()) do
    local band = fleet.bands[priority]
    if band then
      room = room - band.wanted
      if band.limit ~= most or room < 0 then return priority end
    end
  end
end

-- The replica that has the most slots of those where a line stands; nothing for none.
local function most_slots()
  local most, has
  for _, r in pairs(every_replica()) do
    local held = r and r.line > 0 and held_by(r)
    if held and (not most or held > has or held == has and ranking.goes_before(r.id, most.id)) then most, has = r, held end
  end
  return most
end

-- How many requests that pass wait at an ingress, as it stated, without those that were granted since.
local function passing_at(r, above)
  local n = 0
  for _, b in ipairs(bands_of(r)) do
    if b.priority > above then n = n + math.max(0, b.wanted - b.in_flight - (granted_to(r)[b.priority] or 0)) end
  end
  return n
end

-- What those where a line stands have at endpoints: where one has the most first.
local function had_in_line()
  local list = {}
  for id, r in pairs(every_replica()) do
    if r and r.line > 0 then
      for endpoint, had in pairs(places.loads_of(id)) do
        if had > 0 then insert(list, { from = r, endpoint = endpoint, had = had, slots = 0 }) end
      end
    end
  end
  table.sort(list, function(a, b)
    if a.had ~= b.had then return a.had > b.had end
    if a.from ~= b.from then return ranking.goes_before(a.from.id, b.from.id) end
    return ranking.goes_before(a.endpoint, b.endpoint)
  end)
  return list
end

-- What those replicas give up where a line stands, for the requests that pass and wait. For those
-- of an ingress that reaches all endpoints that is the replica that has the most slots, and for
-- others those that have the most at endpoints that it reaches. An ingress that has as many slots as
-- such requests needs no more, and no more is given up than may go.
local function yields_above(above)
  local yields, standing, anywhere, list = {}, {}, 0, nil
  if not above or fleet.in_line == 0 then return yields end
  for _, priority in ipairs(order.priorities()) do
    if priority > above and order.front_of(priority) then order.count_standing(priority, standing) end
  end
  local ids = {}
  for id in pairs(standing) do
    if replica(id) then insert(ids, id) end
  end
  ranking.sort(ids)
  for _, id in ipairs(ids) do
    local n = math.max(0, math.min(standing[id], passing_at(replica(id), above) - held_by(replica(id))))
    if n > 0 and places.reaches_all(id) then
      anywhere, n = anywhere + n, 0
    elseif n > 0 then
      list = list or had_in_line()
    end
    for i = 1, n > 0 and #list or 0 do
      local y = list[i]
      if n > 0 and y.slots < y.had and y.from.id ~= id and places.sends(id, y.endpoint) then
        local more = math.min(y.had - y.slots, n)
        n, y.slots = n - more, y.slots + more
      end
    end
  end
  for _, y in ipairs(list or {}) do
    if y.slots > 0 then insert(yields, y) end
  end
  local most = anywhere > 0 and most_slots()
  if most then insert(yields, { from = most, endpoint = '', slots = anywhere }) end
  return yields
end

-- Fill in which bands pass, and what the replica should know of them.
function order.name_passing(reply, r)
  local above = pass_above()
  if not above then return end
  reply.may_pass, reply.pass_above = true, above
  for _, priority in ipairs(order.priorities()) do
    if priority > above then
      if now - bands[exact(priority)].offered < QUIET_FOR then reply.pass_lately = true end
      if order.front_of(priority) then reply.pass_wait = true end
    end
  end
  for _, y in ipairs(yields_above(above)) do
    if y.from == r then insert(reply.yields, y) end
  end
end

-- Whether nothing waits, and nothing was offered for so long, of those that go before a
-- band in line, where those above that one pass: the higher ones that do not pass, those that share with it by weights, and all that are
-- guaranteed something. A group that is has
-- nothing in flight either for there to be a new line.
local function is_quiet(line, long, above)
  local _, floors = order.guaranteed()
  for _, class in ipairs(floors) do
    if order.waits(class) or long > 0 and order.in_flight_of(class) > 0 then return false end
  end
  for key, band in pairs(bands) do
    local priority, total = tonumber(key), fleet.bands[tonumber(key)]
    local passes = above and priority > above
    if priority ~= line and not passes and (priority > line or total and total.guaranteed > 0 or order.weight_of(priority) > 0 and order.weight_of(line) > 0) then
      if order.front_of(priority) or now - band.offered < long then return false end
    end
  end
  return true
end

-- Whether a band's requests may take the place of any that end: nothing may be above its
-- limit, and no other band's may be higher.
local function fills(priority)
  local total = fleet.bands[priority]
  return total and total.limit == order.highest_limit() and places.occupied() <= total.limit
end

-- Have the offers that are next stand in line, as long as there is use for more.
-- Whether what stands in line at this replica is called back.
local function line()
  if fleet.recovering then return false end
  local above = pass_above()
  if fleet.in_line > 0 then
    if not (fills(fleet.lined) and is_quiet(fleet.lined, 0, above)) then
      fleet.line_recalled = recall_all(fleet.line_recalled, function(r) return r.id ~= my_id and r.line > 0 end)
      return me.line > 0
    end
    for _, y in ipairs(yields_above(above)) do
      if y.endpoint == '' then
        fleet.line_recalled = recall_all(fleet.line_recalled, function(r) return r == y.from and r.id ~= my_id end)
      end
    end
  end
  local priority = order.highest_offered(above)
  if not priority or fleet.in_line > 0 and priority ~= fleet.lined or places.passed_over or not (fills(priority) and is_quiet(priority, QUIET_FOR, above)) then
    return false
  end
  local moved = false
  while fleet.in_line < fleet.line_wanted and line_up(priority, LINE_OVER) do moved = true end
  if moved then save_band(exact(priority)) end
  return false
end

step(function() order.line_recalled = not stated.leave and line() end)

end
