-- Grant what capacity there is: the highest band first, in a band the lowest
-- rank, and no band below one that still waits.

-- The band's next offer, from its books in turn: the book, the offer, and how
-- many books were passed over; nothing if none waits.
local function next_of(band)
  local n = #band.books
  for skipped = 0, n - 1 do
    local name = band.books[1 + (band.next_book + skipped) % n]
    local member = call('ZRANGE', books[name].wait, '0', '0')[1]
    if member and member ~= SENTINEL then return name, member, skipped end
  end
end

local function serve(band, name, member)
  local ticket = string.sub(member, 17)
  local offer = offer_of(ticket)
  local owner = offer and replica(offer.owner)
  if not owner or offer.granted then damaged('wait', member) end
  local limit = limit_of(offer.flow)
  if limit and not is_open(limit) then
    remove(ticket, offer)
    post(owner, AT_LIMIT, ticket, offer)
    return
  end
  stands_no_more(offer.owner, ticket)
  local ingress = replica(string.sub(ticket, 18))
  offer.granted = true
  set_offer(ticket, offer)
  if not ingress then
    leave_book(offer, member)
    post(owner, DROPPED, ticket, offer)
    return
  end
  band.next_book = band.next_book + 1
  local book, rank, counter = books[name], tonumber(offer.rank), nil
  if book.counts then
    rank = counter_of(book, offer.flow) or rank * book.scale
    local charge = tonumber(offer.charge) * book.scale
    counter = rank + charge
    set_counter(book, offer.flow, counter)
    book.level = math.max(book.level, rank)
    follow(book, charge, counter, offer.weight)
  end
  if rank > book.v then book.v, book.moved = rank, true end
  if limit then
    hold_limited(offer.flow, 1)
    spend(limit, tonumber(offer.tokens))
    if call('HINCRBY', limited_key(ingress.id), offer.flow, '1') == 1 then expire(limited_key(ingress.id)) end
  end
  leave_book(offer, member)
  if ingress.id == owner.id then
    post(ingress, GRANTED + TAKEN, ticket, offer, counter, suggest(ingress.id))
  else
    post(ingress, GRANTED, ticket, offer, counter, suggest(ingress.id))
    post(owner, TAKEN, ticket, offer, counter)
  end
end

-- Whether an offer still stands.
local function grant()
  if fleet.recovering then
    if fleet.members < fleet.expected and now < fleet.recovered then return true end
    fleet.recovering = false
  end
  local priorities = {}
  for key in pairs(bands) do insert(priorities, tonumber(key)) end
  table.sort(priorities, function(a, b) return a > b end)
  for _, priority in ipairs(priorities) do
    local key = exact(priority)
    local band, total = bands[key], fleet.bands[priority]
    local started = band.next_book
    local name, member, skipped = next_of(band)
    while member and total and fleet.held < total.limit do
      band.next_book = band.next_book + skipped
      serve(band, name, member)
      name, member, skipped = next_of(band)
    end
    if band.next_book ~= started then save_band(key) end
    if member then return true end
  end
  return false
end
local waiting = stated.leave or grant()
