-- Grant what capacity there is: band after band, or group, as next_class says, in a band first
-- to who stands in line, and then the lowest rank.

local grant, line_up
do

-- A standing offer by its place in a book: the ticket, the offer, its owner, its ingress.
local function offer_at(member)
  local ticket = string.sub(member, 17)
  local offer = offer_of(ticket)
  local owner = offer and replica(offer.owner)
  if not owner or offer.granted then damaged('wait', member) end
  return ticket, offer, owner, replica(string.sub(ticket, 18))
end

-- Take an offer that is served from its book, and charge its flow, and the groups that it is
-- in: what that leaves its counter at, if service is counted.
local function take(band, book, member, ticket, offer, kept)
  stands_no_more(offer.owner, ticket)
  offer.granted, moved_offers[ticket] = true, true
  band.next_book = band.next_book + 1
  local rank, counter = tonumber(offer.rank), nil
  if book.counts then
    rank = counter_of(book, offer.flow) or rank * book.scale
    local charge = tonumber(offer.charge) * book.scale
    counter = rank + charge
    set_counter(book, offer.flow, counter)
    if rank > book.level then book.level, book.moved = rank, true end
    follow(book, charge, counter, offer.weight)
  end
  if rank > book.v then book.v, book.moved = rank, true end
  if book.outer then groups.serve(book, groups.service(book, offer), kept) end
  leave_book(offer, member)
  return counter
end

-- Leave messages of what became of an offer.
local function tell(kind, ingress, ticket, offer, counter, endpoint, load)
  if ingress.id == offer.owner then return post(ingress, kind + TAKEN, ticket, offer, counter, endpoint, load) end
  post(ingress, kind, ticket, offer, counter, endpoint, load)
  post(replica(offer.owner), TAKEN, ticket, offer, counter)
end

-- Grant an offer, which is due to a class if one is given, or let it go if that may not be.
local function serve(band, book, member, due, shared)
  local ticket, offer, owner, ingress = offer_at(member)
  if book.outer and groups.shut_around(book) then return end
  local limit = limit_of(offer.flow)
  if limit and not is_open(limit) then
    remove(ticket, offer)
    post(owner, AT_LIMIT, ticket, offer)
    return
  end
  if not ingress then
    remove(ticket, offer)
    post(owner, DROPPED, ticket, offer)
    return
  end
  local place, full, by_permits = places.choose(ingress.id, offer.prefer)
  if full then
    places.wanted = places.wanted or by_permits
    places.pass_over(offer, member, ingress.id)
    return
  end
  local counter = take(band, book, member, ticket, offer, due and order.kept_by(due) or 0)
  if limit then
    hold_granted(offer.flow, ingress.id)
    spend(limit, tonumber(offer.tokens))
  end
  if book.outer then groups.hold(book, ingress.id) end
  if shared then
    if due then order.grant_due(book.priority) end
    order.note_short(book.priority)
    order.note_granted(book.priority, order.room_of(book.priority) > 0, fleet.bands[book.priority].in_flight)
  end
  tell(GRANTED, ingress, ticket, offer, counter, places.suggest(ingress.id, place))
end

-- Over how many of a replica's turns the slots are averaged that it usually has; by how many tickets more in
-- line it is served first for each that it has less; and up to how many tickets, on average, lines may be
-- for slots to go to the longest. See store/memory/line.go.
local USUAL_TURNS, STEADY, LEAST_STEADY = 16, 8, 2

-- Take in how many slots this replica has as its turn begins.
step(function()
  local held = held_by(me)
  if stated.register then me.usual = USUAL_TURNS * held end
  me.usual = me.usual + held - math.floor(me.usual / USUAL_TURNS)
end)

-- How many tickets a slot serves in the time that a line should last, as replicas state how many they
-- have use for; 0 for slots to go to the longest line.
local function line_serves()
  local wanted = fleet.line_wanted
  if wanted <= LEAST_STEADY * fleet.members or wanted > fleet.held + fleet.members then return 0 end
  return wanted / fleet.held
end

-- How much the line of a replica needs a slot: the longer the more, for the slots that it has, or usually has.
local function line_urges(r, serves)
  if serves == 0 then return r.line / (held_by(r) + 1) end
  local usual = r.usual / USUAL_TURNS
  return (r.line - STEADY * serves * serves * (held_by(r) - usual)) / (usual + 1)
end

-- Grant a slot to the first in line at the replica whose line needs one most, of those that reach an
-- endpoint with room. They are before the band's offers.
local function serve_line(priority)
  local full_at, serves = {}, line_serves()
  while true do
    local r, most
    for _, other in pairs(every_replica()) do
      if other and other.line > 0 and not full_at[other] then
        local urges = line_urges(other, serves)
        if not r or urges > most or urges == most and ranking.goes_before(other.id, r.id) then r, most = other, urges end
      end
    end
    if not r then break end
    local place, full, by_permits = places.choose(r.id)
    if not full then
      order.note_short(priority)
      order.note_granted(priority, order.room_of(priority) > 0, fleet.bands[priority].in_flight)
      r.line, fleet.in_line = r.line - 1, fleet.in_line - 1
      local endpoint, load = places.suggest(r.id, place)
      return leave_message(r, {
        kind = GRANTED, ticket = NOBODY, priority = priority, policy = '', group = '', flow = '', charge = '0', service = 0,
        counter = 0, endpoint = endpoint, load = load,
      })
    end
    places.wanted, full_at[r] = places.wanted or by_permits, true
  end
  if not next(full_at) then damaged('line', fleet.in_line) end
  order.line_stuck = true
end

-- Have a band's next offer stand in line, and say whether it does. A policy that ranks by
-- something other than service is after the order itself, and a flow or a group with limits
-- of its own is counted when it is granted: they have none.
function line_up(priority, most)
  local front = order.front_of(priority)
  if not front then return false end
  local book, member = order.offer_of(front)
  local ticket, offer, _, ingress = offer_at(member)
  if not ingress or ingress.line >= most * ingress.want_line or not book.counts or groups.is_limited(book, offer.flow) then return false end
  local band = bands[exact(priority)]
  band.next_book = band.next_book + front.skipped
  fleet.lined, fleet.in_line, ingress.line = priority, fleet.in_line + 1, ingress.line + 1
  tell(LINED, ingress, ticket, offer, take(band, book, member, ticket, offer, 0))
  order.look_again(priority)
  return true
end

-- Grant, and return whether something waits still, for capacity or for what is kept as float.
function grant()
  if fleet.recovering then
    if fleet.members < fleet.expected and now < fleet.recovered then return true end
    fleet.recovering = false
  end
  local moved, shared = {}, order.are_shared()
  local class, due = order.next_class()
  while class and order.has_room(class, due, places.occupied()) do
    if order.line_of(class) > 0 then
      serve_line(class)
    else
      local front = order.next_offer(class)
      local band, priority = front.band, front.priority
      band.next_book, moved[priority] = band.next_book + front.skipped, true
      local book, member = order.offer_of(front)
      serve(band, book, member, due and class, shared)
      order.look_again(priority)
    end
    -- Where bands share nothing the highest that waits goes on: no grant has one above it come to wait.
    if shared or not order.waits(class) then class, due = order.next_class() end
  end
  for priority in pairs(moved) do save_band(exact(priority)) end
  order.line_stuck = false
  if #places.over > 0 then
    places.passed_over = true
    places.stand_again()
    groups.shut()
    order.look_at_all_again()
  end
  return class ~= nil or places.wanted
end

end
local waiting -- whether something waits that was not granted, or may
step(function()
  groups.shut()
  waiting = stated.leave or grant()
end)
