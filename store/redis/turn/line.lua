-- The line: tickets that are next in order, and stand at their ingresses for slots that end
-- there. See store/memory/line.go.

do

-- There is no line while a request of a band that goes before it came within this time:
-- the next one would wait for those in line to be called back.
local QUIET_FOR = 1000000

-- How many times as many as it has use for stand in line at a replica at most.
local LINE_OVER = 2

-- Whether nothing waits, and nothing was offered for so long, of those that go before a
-- band in line: the higher ones, those that share with it by weights, and all that are
-- guaranteed something. A group that is has
-- nothing in flight either for there to be a new line.
local function is_quiet(line, long)
  local _, floors = order.guaranteed()
  for _, class in ipairs(floors) do
    if order.waits(class) or long > 0 and order.in_flight_of(class) > 0 then return false end
  end
  for key, band in pairs(bands) do
    local priority, total = tonumber(key), fleet.bands[tonumber(key)]
    if priority ~= line and (priority > line or total and total.guaranteed > 0 or order.weight_of(priority) > 0 and order.weight_of(line) > 0) then
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
  if fleet.in_line > 0 and not (fills(fleet.lined) and is_quiet(fleet.lined, 0)) then
    fleet.line_recalled = recall_all(fleet.line_recalled, function(r) return r.id ~= my_id and r.line > 0 end)
    return me.line > 0
  end
  local priority = order.highest_offered()
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
