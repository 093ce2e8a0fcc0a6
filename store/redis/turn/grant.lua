-- Grant what capacity there is: band after band as next_band says, in a band the lowest
-- rank.

local function serve(band, name, member, due)
  local ticket = string.sub(member, 17)
  local offer = offer_of(ticket)
  local owner = offer and replica(offer.owner)
  if not owner or offer.granted then damaged('wait', member) end
  if groups.shut_around(book_at(name)) then return end
  local limit = limit_of(offer.flow)
  if limit and not is_open(limit) then
    remove(ticket, offer)
    post(owner, AT_LIMIT, ticket, offer)
    return
  end
  local ingress = replica(string.sub(ticket, 18))
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
  stands_no_more(offer.owner, ticket)
  offer.granted = true
  set_offer(ticket, offer)
  band.next_book = band.next_book + 1
  local book, rank, counter = book_at(name), tonumber(offer.rank), nil
  if book.counts then
    rank = counter_of(book, offer.flow) or rank * book.scale
    local charge = tonumber(offer.charge) * book.scale
    counter = rank + charge
    set_counter(book, offer.flow, counter)
    book.level = math.max(book.level, rank)
    follow(book, charge, counter, offer.weight)
  end
  if rank > book.v then book.v, book.moved = rank, true end
  groups.serve(book, groups.service(book, offer))
  if limit then
    hold_granted(offer.flow, ingress.id)
    spend(limit, tonumber(offer.tokens))
  end
  leave_book(offer, member)
  groups.hold(book, ingress.id)
  order.note_granted(book.priority, due, fleet.bands[book.priority].in_flight)
  if ingress.id == owner.id then
    post(ingress, GRANTED + TAKEN, ticket, offer, counter, places.suggest(ingress.id, place))
  else
    post(ingress, GRANTED, ticket, offer, counter, places.suggest(ingress.id, place))
    post(owner, TAKEN, ticket, offer, counter)
  end
end

-- Whether an offer waits for capacity, or for what is kept as float.
local function grant()
  if fleet.recovering then
    if fleet.members < fleet.expected and now < fleet.recovered then return true end
    fleet.recovering = false
  end
  local moved = {}
  local priority, due = order.next_band()
  while priority and order.has_room(priority, due, places.occupied()) do
    local key, front = exact(priority), order.front_of(priority)
    local band = bands[key]
    band.next_book, moved[key] = band.next_book + front.skipped, true
    serve(band, front.name, front.member, due)
    order.look_again(priority)
    priority, due = order.next_band()
  end
  for key in pairs(moved) do save_band(key) end
  if #places.over > 0 then
    places.stand_again()
    groups.shut()
  end
  return priority ~= nil or places.wanted
end
groups.shut()
local waiting = stated.leave or grant()
