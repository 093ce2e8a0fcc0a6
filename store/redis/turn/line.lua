-- The line: tickets that are next in order, and stand at their ingresses for slots that end
-- there. See store/memory/line.go.

do

-- There is no line while a request of a band that goes before it came within this time:
-- the next one would wait for those in line to be called back.
local QUIET_FOR = 1000000

-- How many times as many as it has use for stand in line at a replica at most.
local LINE_OVER = 2

-- Above which band all pass, since all that they have in flight and that waits is no more than the
-- pool takes; nothing if none does. See store/memory/passing.go.
local function pass_above()
  local most, wanted = order.highest_limit(), 0
  if fleet.recovering or #order.guaranteed() > 0 or order.are_weighed() or places.occupied() > most then return nil end
  for _, priority in ipairs(order.priorities()) do
    local band = fleet.bands[priority]
    if band then
      wanted = wanted + band.in_flight + band.queued
      if priority == fleet.lined then wanted = wanted + fleet.in_line end
      if band.limit ~= most or wanted > most then return priority end
    end
  end
end

-- Whether something that passes waits.
local function passes_wait(above)
  for _, priority in ipairs(above and order.priorities() or {}) do
    if priority > above and order.front_of(priority) then return true end
  end
  return false
end

-- The replica that has the most slots of those where a line stands; nothing for none.
local function most_slots()
  local most, has
  for _, r in pairs(every_replica()) do
    local held = r and r.line > 0 and held_by(r)
    if held and (not most or held > has or held == has and r.id < most.id) then most, has = r, held end
  end
  return most
end

-- Fill in which bands pass, and what the replica should know of them. Of those where a line
-- stands, the one that has the most slots gives some up for those that wait.
function order.name_passing(reply, r)
  local above, wait = pass_above(), 0
  if not above then return end
  reply.may_pass, reply.pass_above = true, above
  for _, priority in ipairs(order.priorities()) do
    if priority > above then
      if now - bands[exact(priority)].offered < QUIET_FOR then reply.pass_lately = true end
      if order.front_of(priority) then
        reply.pass_wait = true
        wait = wait + math.max(1, fleet.bands[priority] and fleet.bands[priority].queued or 0)
      end
    end
  end
  if wait > 0 and fleet.in_line > 0 and most_slots() == r then reply.yield = wait end
end

-- Whether nothing waits, and nothing was offered for so long, of those that go before a
-- band in line: the higher ones that do not pass, those that share with it by weights, and all that are
-- guaranteed something. A group that is has
-- nothing in flight either for there to be a new line.
local function is_quiet(line, long)
  local above = pass_above()
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
    if not (fills(fleet.lined) and is_quiet(fleet.lined, 0)) then
      fleet.line_recalled = recall_all(fleet.line_recalled, function(r) return r.id ~= my_id and r.line > 0 end)
      return me.line > 0
    end
    if passes_wait(above) then
      local most = most_slots()
      fleet.line_recalled = recall_all(fleet.line_recalled, function(r) return r == most and r.id ~= my_id end)
    end
  end
  local priority = order.highest_offered(above)
  if not priority or fleet.in_line > 0 and priority ~= fleet.lined or places.passed_over or not (fills(priority) and is_quiet(priority, QUIET_FOR)) then
    return false
  end
  local moved = false
  while fleet.in_line < fleet.line_wanted and line_up(priority, LINE_OVER) do moved = true end
  if moved then save_band(exact(priority)) end
  return false
end

step(function() order.line_recalled = not stated.leave and line() end)

end
