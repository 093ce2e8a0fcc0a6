-- Bands that share by their weights with those next to them, by slots times time: what each is
-- ahead of the one furthest behind of those that wait and may go, for its weight. One of weight
-- 0 shares nothing. See store/weighed.go.

do

function order.weight_of(class) return fleet.bands[class] and math.max(0, fleet.bands[class].weight) or 0 end

function order.are_weighed()
  for _, band in pairs(fleet.bands) do
    if band.weight > 0 then return true end
  end
  return false
end

-- Take in that a band's weight changed. What it is ahead by stays what it is in slot-seconds.
function order.reweigh(priority, from, to)
  if from == to or from <= 0 then return end
  local share = order.share_of(priority)
  if to > 0 then share.ahead = share.ahead * (from / to) else share.ahead, share.short = 0, false end
end

local list, run_at, heap, heaped -- the runs, by their bands, and what waits in the one that was asked for last
local any_short                   -- whether any could not have had a slot; nil until that is asked for
step(function() any_short = nil end)
function order.weigh_again() list, heaped = nil, nil end

-- The bands that a replica states, in runs that share, the highest first; one that shares nothing is
-- a run of its own.
local function runs()
  if list then return list end
  local open
  list, run_at = {}, {}
  for _, priority in ipairs(order.priorities()) do
    local band = fleet.bands[priority]
    if band and band.weight ~= NO_OPINION then
      if not open or band.weight == 0 then
        open = {}
        insert(list, open)
      end
      insert(open, priority)
      run_at[priority] = open
      if band.weight == 0 then open = nil end
    end
  end
  return list
end

-- The run that a band is in.
function order.run_of(priority)
  runs()
  return run_at[priority] or { priority }
end

-- For how long a request that goes now is taken to hold its slot, in seconds.
local function foresight() return math.max(0.1, math.min(stated.longest / 1000000, 60)) end

-- What a band has in flight, until that has ended, for its weight.
local function held(priority, seconds)
  local band = fleet.bands[priority]
  return band.in_flight * seconds / band.weight
end

-- How far a band is ahead once what it has in flight has ended; nil if it has no room, or nothing waits.
local function place_of(priority, seconds, occupied)
  if order.has_room(priority, false, occupied) and order.waits(priority) then
    return order.share_of(priority).ahead + held(priority, seconds)
  end
end

-- Put the top of the heap from there on in its place: the least ahead first, and of equals the highest.
local function sink(i)
  local at = heap[i]
  while 2 * i <= #heap do
    local child, other = heap[2 * i], heap[2 * i + 1]
    local to = 2 * i
    if other and (other.place < child.place or other.place == child.place and other.rank < child.rank) then child, to = other, to + 1 end
    if at.place < child.place or at.place == child.place and at.rank < child.rank then break end
    heap[i], i = child, to
  end
  heap[i] = at
end

local function heap_up(run, seconds, occupied)
  heap, heaped = {}, run
  for rank, priority in ipairs(run) do
    local place = place_of(priority, seconds, occupied)
    if place then insert(heap, { priority = priority, rank = rank, place = place }) end
  end
  for i = math.floor(#heap / 2), 1, -1 do sink(i) end
end

-- Which band goes, of the highest that waits and those that it shares with: the one that is
-- least ahead once what it has in flight has ended, of those that have room.
function order.least_ahead(highest)
  if order.weight_of(highest) == 0 then return highest end
  local seconds, occupied = foresight(), places.occupied()
  local run = order.run_of(highest)
  if heaped ~= run then heap_up(run, seconds, occupied) end
  -- Who was granted something is further ahead since, or has nothing that waits: others are as they were.
  while heap[1] do
    local first = heap[1]
    local place = place_of(first.priority, seconds, occupied)
    if place == first.place then return first.priority end
    first.place = place
    if not place then
      local last = table.remove(heap)
      if heap[1] then heap[1] = last end
    end
    if heap[1] then sink(1) end
  end
  return highest
end

-- Take in that a band is given a slot by a guarantee, before it counts as in flight: it is no
-- further ahead than if it had been its turn.
function order.grant_due(granted)
  if order.weight_of(granted) == 0 then return end
  local seconds, occupied = foresight(), places.occupied()
  local share, has = order.share_of(granted), held(granted, seconds)
  for _, priority in ipairs(order.run_of(granted)) do
    local place = priority ~= granted and place_of(priority, seconds, occupied)
    if place then share.ahead = math.max(0, math.min(share.ahead, place - has)) end
  end
  heaped = nil
end

-- Take in, when a band that shares is given a slot, which of them could not have had it: all that
-- waits of these was passed over.
function order.note_short(granted)
  if order.weight_of(granted) == 0 or any_short == false and not next(places.over_of) then return end
  any_short = false
  for priority in pairs(fleet.bands) do
    if order.weight_of(priority) > 0 then
      local short = priority ~= granted and places.over_of[priority] and not order.waits(priority) or false
      order.share_of(priority).short, any_short = short, any_short or short
    end
  end
end

-- Account for the time since the last turn among those that share. Which of them wait and may
-- have a slot that ends are those that save something up. Where all that wait are away, the accounts
-- stay as they are.
function order.pass_weighed(seconds, away)
  if not order.are_weighed() then return end
  local highest = order.highest_limit()
  for _, run in ipairs(runs()) do
    local least, only_away
    local ahead = {}
    for _, priority in ipairs(order.weight_of(run[1]) > 0 and run or {}) do
      local share = order.share_of(priority)
      ahead[priority] = share.ahead + held(priority, seconds)
      local limit = fleet.bands[priority].limit
      if not share.short and (limit == highest or places.occupied() <= limit) then
        local waits, there = order.waited(priority, away)
        if waits then least = math.min(least or ahead[priority], ahead[priority]) end
        only_away = only_away or there
      end
    end
    if least or not only_away then
      for priority, n in pairs(ahead) do order.share_of(priority).ahead = least and math.max(0, n - least) or 0 end
    end
  end
end

end
