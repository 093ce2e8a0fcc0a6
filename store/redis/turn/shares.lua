-- What goes next, and what bands and groups are guaranteed of the pool. The functions are
-- fields of one table: Lua has room for 200 names.

local order = {}
do

local MOST_OWED, BELOW_AFTER = 60, 10 -- seconds

-- What is next of a band in the group of that path, or of all for none, from its books in
-- turn: the book or group that it is in, the offer or the group that it is, and how many books
-- were passed over; nothing if nothing waits.
local function next_of(band, path)
  local n = #band.books
  for skipped = 0, n - 1 do
    local name = band.books[1 + (band.next_book + skipped) % n]
    local book, member = books[name], SENTINEL
    if not path then
      member = ranking.first(book)
    elseif groups.waits(name, path) then
      book = groups.node(name .. '/' .. path)
      member = ranking.first(book)
    end
    if member ~= SENTINEL then return book, member, skipped end
  end
end

-- The offer that what is next leads to: the book or group that it is in, and the offer.
function order.offer_of(front)
  local book, member = front.book, front.member
  local group = groups.inside(book, member)
  while group do
    book, member = group, ranking.first(group)
    if member == SENTINEL then damaged('group', book.name) end
    group = groups.inside(book, member)
  end
  return book, member
end

-- The next offers of bands, and of groups in them, looked at when they are asked for; false
-- where nothing waits.
local fronts, inner_fronts
local function look_at_front(priority, path)
  local band = bands[exact(priority)]
  if not band then return false end
  local book, member, skipped = next_of(band, path)
  return book and { priority = priority, band = band, book = book, member = member, skipped = skipped } or false
end
function order.front_of(priority, path)
  if not path then
    local front = fronts[priority]
    if front == nil then
      front = look_at_front(priority)
      fronts[priority] = front
    end
    return front
  end
  inner_fronts = inner_fronts or {}
  local of = inner_fronts[priority] or {}
  inner_fronts[priority] = of
  if of[path] == nil then of[path] = look_at_front(priority, path) end
  return of[path]
end
function order.look_again(priority)
  fronts[priority] = nil
  if inner_fronts then inner_fronts[priority] = nil end
end

local sorted        -- the bands' priorities, the highest first; nil until they are asked for
local floors, paths -- what is guaranteed something, likewise
step(function() order.look_at_all_again() end)

function order.priorities()
  if not sorted then
    sorted = {}
    for key in pairs(bands) do insert(sorted, tonumber(key)) end
    if #sorted > 1 then table.sort(sorted, function(a, b) return a > b end) end
  end
  return sorted
end
function order.look_at_all_again()
  fronts, inner_fronts, sorted, floors, paths = {}, nil, nil, nil, nil
  order.weigh_again()
end

-- The highest band with offers, of those that are not above that one if it is given.
function order.highest_offered(above)
  for _, priority in ipairs(order.priorities()) do
    if not (above and priority > above) and order.front_of(priority) then return priority end
  end
end

-- How many tickets of a class stand in line; all that do are of one band. None counts once no
-- endpoint has room for them.
function order.line_of(class) return class == fleet.lined and not order.line_stuck and fleet.in_line or 0 end

-- Note that a request of a band waits: when one last came is known within a tenth of a
-- second.
function order.note_offered(priority)
  local key = exact(priority)
  if now - bands[key].offered > 100000 then
    bands[key].offered = now
    save_band(key)
  end
end

-- What is guaranteed something are classes: bands, which go by their priorities, and groups
-- over all bands, which go by what stands for them among those with limits.
local shares -- accounts by class
step(function()
  shares = {}
  for _, item in ipairs(split(fleet.shares, ITEM)) do
    local share = decode.share(item)
    share.class = tonumber(share.class) or share.class
    shares[share.class] = share
  end
  order.line_stuck, order.counted = false, nil
end)

function order.share_of(class)
  shares[class] = shares[class] or { class = class, slots = 0, owed = 0, spare = false, ahead = 0, short = false, got = 0, below = 0 }
  return shares[class]
end

-- How many slots a class is guaranteed: of a band, by what replicas state of that.
function order.slots_of(class)
  if type(class) == 'number' then return fleet.bands[class] and fleet.bands[class].guaranteed or 0 end
  return shares[class] and shares[class].slots or 0
end

-- The classes that are guaranteed something: the bands, the highest first, and then the
-- groups, by their paths.
function order.guaranteed()
  if floors then return floors, paths end
  local list
  list, paths = {}, {}
  for priority, band in pairs(fleet.bands) do
    if band.guaranteed > 0 then insert(list, priority) end
  end
  if #list > 1 then table.sort(list, function(a, b) return a > b end) end
  for class, share in pairs(shares) do
    if type(class) == 'string' and share.slots > 0 then insert(paths, class) end
  end
  if #paths > 1 then ranking.sort(paths) end
  for _, class in ipairs(paths) do insert(list, class) end
  floors = list
  return floors, paths
end

function order.save_shares()
  local items = {}
  for class, share in pairs(shares) do
    share.class = type(class) == 'number' and exact(class) or class
    insert(items, encode.share(share))
  end
  fleet.shares = concat(items, ITEM)
  if order.are_shared() then fleet.passed = now end -- else there is nothing to account for
end

-- What a class is owed, has got, and for how long it was below, for the reply.
local NO_ACCOUNT = { slots = 0, owed = 0, got = 0, below = 0 }
function order.account_of(class) return shares[class] or NO_ACCOUNT end

-- How many requests a class has in flight.
function order.in_flight_of(class)
  if type(class) == 'number' then return fleet.bands[class].in_flight end
  return groups.in_flight(class)
end

-- The next offer of a class: of a group's that in the highest band. Nothing if none waits.
function order.next_offer(class)
  if type(class) == 'number' then return order.front_of(class) end
  for _, priority in ipairs(order.priorities()) do
    local front = order.front_of(priority, groups.path_of(class))
    if front then return front end
  end
end

-- Whether something of a class waits for a slot: an offer, or who stands in line.
function order.waits(class)
  if fronts[class] or order.next_offer(class) then return true end
  return order.line_of(class) > 0
end

-- Whether any class is guaranteed something, or bands share by weights: else nothing is kept of that.
function order.are_shared() return #order.guaranteed() > 0 or order.are_weighed() end

-- How many more requests are due to a class.
function order.room_of(class)
  local slots = order.slots_of(class)
  if slots == 0 then return 0 end
  local owed, most = order.share_of(class).owed, math.floor(slots)
  if owed > 0 or owed == 0 and slots > most then most = most + 1 end
  return math.max(0, most - order.in_flight_of(class))
end

-- Whether what is due to a class goes before what is due to another.
local function goes_before(a, b)
  local has, others, slots, other_slots = order.in_flight_of(a), order.in_flight_of(b), order.slots_of(a), order.slots_of(b)
  local short, other_short = has < math.floor(slots), others < math.floor(other_slots)
  if short ~= other_short then return short end
  if short then return has * other_slots < others * slots end
  return order.share_of(a).owed * other_slots > order.share_of(b).owed * slots
end

-- Which of those classes is due something first, if any is: of all, or of the groups in one.
local function first_due(classes, outer)
  local first
  for _, class in ipairs(classes) do
    if (not outer or string.sub(class, 1, #outer + 1) == outer .. '/') and order.room_of(class) > 0 and order.waits(class) and
      (not first or goes_before(class, first)) then first = class end
  end
  return first
end

-- What goes next, if anything waits: a class to which a request is due by its guarantee,
-- which is the second value, or else the highest band, or one that it shares with. Of what is due to a group, what is due
-- within it goes first.
function order.next_class()
  local classes, within = order.guaranteed()
  local first = #classes > 0 and first_due(classes)
  local inner = first
  while inner do
    first = inner
    inner = nil
    if type(first) == 'string' then inner = first_due(within, first) end
  end
  if first then return first, true end
  for _, priority in ipairs(order.priorities()) do
    if order.waits(priority) then return order.least_ahead(priority), false end
  end
end

-- The books, or the groups of that path in them, in which something of a class waits.
function order.places_of(class)
  local list = {}
  for name, book in pairs(books) do
    if type(class) == 'number' then
      if book.priority == class then insert(list, name) end
    elseif groups.waits(name, groups.path_of(class)) then
      insert(list, name .. '/' .. groups.path_of(class))
    end
  end
  return list
end

-- Whether a request in flight is of a class.
function order.holds(class, request)
  if type(class) == 'number' then return request.priority == class end
  local path = groups.path_of(class)
  return request.group == path or string.sub(request.group, 1, #path + 1) == path .. '/'
end

-- How many requests of a group its guarantee keeps in flight: as many may be ahead of others
-- for it. It is 0 for a band, in which all go in their order.
function order.kept_by(class) return type(class) == 'string' and math.ceil(order.slots_of(class)) or 0 end

function order.highest_limit()
  local highest = NO_OPINION
  for _, band in pairs(fleet.bands) do highest = math.max(highest, band.limit) end
  return highest
end

-- Whether the pool has room for another request of the class, beside so many: under the band's
-- own limit, or, for one that is due, under the highest that any band has.
function order.has_room(class, due, occupied)
  if due then return occupied < order.highest_limit() end
  return fleet.bands[class] and occupied < fleet.bands[class].limit
end

-- Take in that another request of a class goes where that many are in flight.
function order.note_granted(class, due, in_flight)
  local slots = order.slots_of(class)
  if slots == 0 then return end
  if due then
    order.share_of(class).spare = false
  elseif in_flight >= math.floor(slots) then
    order.share_of(class).spare = true
  end
end

-- Whether anything waits in the pool, for a slot or for a limit of its own.
local function is_wanted()
  if fleet.queued + fleet.in_line > 0 then return true end
  for _, priority in ipairs(order.priorities()) do
    if order.waits(priority) then return true end
  end
  return false
end

-- What a class is owed once that much more of a time was short of its guarantee, or beyond it.
local function owed_after(share, slots, change, waits, seconds)
  if change > 0 and not waits and share.owed > 0 then return math.max(0, share.owed - slots * seconds) end
  if change > 0 and not waits then return math.min(0, share.owed + change) end
  if change < 0 and (share.spare or not is_wanted()) then return math.max(share.owed + change, math.min(share.owed, 0)) end
  return math.min(share.owed + change, slots * MOST_OWED)
end

-- Account for the time since the last turn.
function order.pass()
  local seconds = math.max(0, math.min(now - fleet.passed, settings.lease)) / 1000000
  local classes, with_limits = order.guaranteed()
  local away = order.are_shared() and order.who_is_away()
  if #with_limits > 0 then groups.look_at(with_limits) end
  for _, class in ipairs(classes) do
    local share, slots, in_flight = order.share_of(class), order.slots_of(class), order.in_flight_of(class)
    local waits, only_away = order.waited(class, away)
    share.got = share.got + in_flight * seconds
    if not only_away then
      share.owed = owed_after(share, slots, (slots - math.min(in_flight, math.floor(slots) + 1)) * seconds, waits, seconds)
    end
    if waits and share.owed > slots * BELOW_AFTER then share.below = share.below + seconds end
  end
  order.pass_weighed(seconds, away)
  order.look_at_all_again() -- the statement changes them
end

-- Take over how many slots a group is guaranteed, 0 for none.
function order.guarantee(class, slots)
  floors = nil
  if slots > 0 then order.share_of(class).slots = slots else shares[class] = nil end
end

-- Take over what a registering replica knows that a class is owed, where nothing is known
-- here.
function order.restore(class, owed)
  if owed ~= 0 and order.share_of(class).owed == 0 then order.share_of(class).owed = owed end
end

-- Take in that a replica let requests go by itself, which nobody else wanted to go: it
-- states more in flight in a band than was counted for it. The first call remembers what
-- was counted, and the second, once all is counted anew, compares.
function order.remember_counted(r)
  order.counted = {}
  for priority, n in pairs(granted_to(r)) do order.counted[priority] = n end
  for _, b in ipairs(bands_of(r)) do
    order.counted[b.priority] = (order.counted[b.priority] or 0) + b.in_flight
  end
end
function order.note_by_float(totals)
  for _, b in ipairs(totals) do
    if b.in_flight > (order.counted[b.priority] or 0) then
      order.note_granted(b.priority, false, fleet.bands[b.priority].in_flight - 1)
    end
  end
end

-- Let go of the debts of the classes in which a replica holds something whose record ends:
-- whether it really had it until now is not known.
function order.forgive(r)
  local function let_go(class, n)
    local share = shares[class]
    if share and n > 0 then share.owed = math.max(0, share.owed) end
  end
  for _, b in ipairs(bands_of(r)) do let_go(b.priority, b.in_flight) end
  for priority, n in pairs(granted_to(r)) do let_go(priority, n) end
  local _, with_limits = order.guaranteed()
  for _, class in ipairs(with_limits) do let_go(class, tonumber(call('HGET', limited_key(r.id), class) or 0)) end
end

-- Forget the accounts of what is guaranteed nothing any more, and shares with no other.
function order.forget_shares()
  for class, share in pairs(shares) do
    local guaranteed, weighed = order.slots_of(class) > 0, order.weight_of(class) > 0
    if not guaranteed then share.owed, share.spare, share.got, share.below = 0, false, 0, 0 end
    if not weighed then share.ahead, share.short = 0, false end
    if not guaranteed and not weighed then shares[class] = nil end
  end
end

end
