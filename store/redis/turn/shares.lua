-- Which band goes next, and what the bands are guaranteed of the pool. The functions are
-- fields of one table: Lua has room for 200 names.

local order = {}
local next_of
do

-- The band's next offer, from its books in turn: the name of the book or group, the offer,
-- and how many books were passed over; nothing if none waits.
function next_of(band)
  local n = #band.books
  for skipped = 0, n - 1 do
    local book = books[band.books[1 + (band.next_book + skipped) % n]]
    local member = groups.first_of(book)
    if member ~= SENTINEL then
      local group = groups.inside(book, member)
      while group do
        book, member = group, groups.first_of(group)
        if member == SENTINEL then damaged('group', book.name) end
        group = groups.inside(book, member)
      end
      return book.name, member, skipped
    end
  end
end

-- The bands' next offers, looked at when they are asked for; false where nothing waits.
local fronts = {}
function order.front_of(priority)
  if fronts[priority] == nil then
    local band = bands[exact(priority)]
    local name, member, skipped
    if band then name, member, skipped = next_of(band) end
    fronts[priority] = name and { name = name, member = member, skipped = skipped } or false
  end
  return fronts[priority]
end
function order.look_again(priority) fronts[priority] = nil end

local sorted -- the bands' priorities, the highest first; nil until they are asked for
local function priorities()
  if not sorted then
    sorted = {}
    for key in pairs(bands) do insert(sorted, tonumber(key)) end
    table.sort(sorted, function(a, b) return a > b end)
  end
  return sorted
end
function order.look_at_all_again() fronts, sorted = {}, nil end

-- The highest band with offers.
function order.highest_offered()
  for _, priority in ipairs(priorities()) do
    if order.front_of(priority) then return priority end
  end
end

-- How many tickets of a band stand in line; all that do are of one band. None counts once no
-- endpoint has room for them.
function order.line_of(priority) return priority == fleet.lined and not order.line_stuck and fleet.in_line or 0 end

-- Whether something of a band waits for a slot: an offer, or who stands in line.
function order.waits(priority) return order.front_of(priority) or order.line_of(priority) > 0 end

-- Note that a request of a band waits: when one last came is known within a tenth of a
-- second.
function order.note_offered(priority)
  local key = exact(priority)
  if now - bands[key].offered > 100000 then
    bands[key].offered = now
    save_band(key)
  end
end

local shares = {} -- accounts by priority, of bands that are guaranteed something
for _, item in ipairs(split(fleet.shares, ITEM)) do
  local share = read_share(item)
  shares[share.priority] = share
end

local function share_of(priority)
  shares[priority] = shares[priority] or { priority = priority, owed = 0, spare = false, got = 0, below = 0 }
  return shares[priority]
end

-- The bands that are guaranteed something.
local function guaranteed()
  local list = {}
  for _, band in pairs(fleet.bands) do
    if band.guaranteed > 0 then insert(list, band) end
  end
  return list
end

function order.save_shares()
  local items = {}
  for _, share in pairs(shares) do insert(items, write_share(share)) end
  fleet.shares = concat(items, ITEM)
  if #guaranteed() > 0 then fleet.passed = now end -- else there is nothing to account for
end

-- What a band is owed, has got, and for how long it was below, for the reply.
function order.account_of(priority) return shares[priority] or { owed = 0, got = 0, below = 0 } end

-- How many more requests are due to a band.
function order.room_of(band)
  if not (band and band.guaranteed > 0) then return 0 end
  local owed, whole = share_of(band.priority).owed, math.floor(band.guaranteed)
  local most = whole
  if owed > 0 or owed == 0 and band.guaranteed > whole then most = whole + 1 end
  return math.max(0, most - band.in_flight)
end

-- Whether what is due to a band goes before what is due to another.
local function goes_before(a, b)
  local short, other_short = a.in_flight < math.floor(a.guaranteed), b.in_flight < math.floor(b.guaranteed)
  if short ~= other_short then return short end
  if short then return a.in_flight * b.guaranteed < b.in_flight * a.guaranteed end
  return share_of(a.priority).owed * b.guaranteed > share_of(b.priority).owed * a.guaranteed
end

-- The band that goes next, if anything waits: one to which a request is due by its
-- guarantee, which is the second value, or else the highest.
function order.next_band()
  local first
  for _, band in ipairs(guaranteed()) do
    if order.room_of(band) > 0 and order.waits(band.priority) then
      local before = not first or goes_before(band, first)
      if before or band.priority > first.priority and not goes_before(first, band) then first = band end
    end
  end
  if first then return first.priority, true end
  for _, priority in ipairs(priorities()) do
    if order.waits(priority) then return priority, false end
  end
end

-- Whether the pool has room for another request of the band, beside so many: under the band's own limit,
-- or, for one that is due to it, under the highest that any band has.
function order.highest_limit()
  local highest = NO_OPINION
  for _, band in pairs(fleet.bands) do highest = math.max(highest, band.limit) end
  return highest
end
function order.has_room(priority, due, occupied)
  if due then return occupied < order.highest_limit() end
  return fleet.bands[priority] and occupied < fleet.bands[priority].limit
end

-- Take in that another request of a band goes where that many are in flight.
function order.note_granted(priority, due, in_flight)
  local band = fleet.bands[priority]
  if not (band and band.guaranteed > 0) then return end
  if due then
    share_of(priority).spare = false
  elseif in_flight >= math.floor(band.guaranteed) then
    share_of(priority).spare = true
  end
end

-- Account for the time since the last turn.
local function pass(seconds)
  for _, band in ipairs(guaranteed()) do
    local share, slots = share_of(band.priority), band.guaranteed
    local waits = not fleet.recovering and order.waits(band.priority)
    share.got = share.got + band.in_flight * seconds
    local change = (slots - math.min(band.in_flight, math.floor(slots) + 1)) * seconds
    if change > 0 and not waits and share.owed > 0 then
      share.owed = math.max(0, share.owed - slots * seconds)
    elseif change > 0 and not waits then
      share.owed = math.min(0, share.owed + change)
    elseif change < 0 and share.spare then
      share.owed = math.max(share.owed + change, math.min(share.owed, 0))
    else
      share.owed = math.min(share.owed + change, slots * MOST_OWED)
    end
    if waits and share.owed > slots * BELOW_AFTER then share.below = share.below + seconds end
  end
  order.look_at_all_again() -- the statement changes them
end
pass(math.max(0, math.min(now - fleet.passed, settings.lease)) / 1000000)

-- Take over what a registering replica knows that a band is owed, where nothing is known
-- here.
function order.restore(priority, owed)
  if owed ~= 0 and share_of(priority).owed == 0 then share_of(priority).owed = owed end
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

-- Let go of the debts of the bands in which a replica holds something whose record ends:
-- whether it really had it until now is not known.
function order.forgive(r)
  local function let_go(priority, n)
    local share = shares[priority]
    if share and n > 0 then share.owed = math.max(0, share.owed) end
  end
  for _, b in ipairs(bands_of(r)) do let_go(b.priority, b.in_flight) end
  for priority, n in pairs(granted_to(r)) do let_go(priority, n) end
end

-- Forget the accounts of bands that are guaranteed nothing any more.
function order.forget_shares()
  for priority in pairs(shares) do
    local band = fleet.bands[priority]
    if not (band and band.guaranteed > 0) then shares[priority] = nil end
  end
end

end
