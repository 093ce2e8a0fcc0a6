-- Offers.

local offers       -- those looked at so far; false where there is none
local moved_offers -- tickets whose offers are to be written, or deleted
local went         -- by replica, tickets that stand in its name no more
local came         -- tickets that stand in this replica's name since this turn, a set
step(function() offers, moved_offers, went, came = {}, {}, {}, {} end)

-- Look at many at once.
local function look_at_offers(tickets)
  local unknown = {}
  for i = 1, #tickets do
    local ticket = tickets[i]
    if offers[ticket] == nil then unknown[#unknown + 1] = ticket end
  end
  local records = list_many('HMGET', OFFERS, unknown)
  for i = 1, #unknown do
    local ticket, record = unknown[i], records[i]
    local offer = record and take_late(cached.offers, ticket, record, 'offer')
    if offer then
      offer.prefer, offer.idle, offer.idle_groups = nil, nil, nil -- what was said with it alone
    elseif record then
      offer = decode.offer(record)
      offer.text = record
    end
    offers[ticket] = offer or false
  end
end

local function offer_of(ticket)
  if offers[ticket] == nil then look_at_offers({ ticket }) end
  return offers[ticket]
end

local function set_offer(ticket, offer) offers[ticket], moved_offers[ticket] = offer, true end

local function stands_no_more(owner, ticket)
  if owner == my_id and came[ticket] then
    came[ticket] = nil
    return
  end
  went[owner] = went[owner] or {}
  insert(went[owner], ticket)
end

local function save_offers()
  local written, deleted, n = {}, {}, 0
  for ticket in pairs(moved_offers) do
    local offer = offers[ticket]
    if offer then
      offer.text = encode.offer(offer)
      written[n + 1], written[n + 2], n = ticket, offer.text, n + 2
    else
      deleted[#deleted + 1] = ticket
    end
  end
  for ticket, offer in pairs(offers) do
    if offer then cache_late(cached.offers, ticket, offer) end
  end
  call_many('HSET', OFFERS, written)
  call_many('HDEL', OFFERS, deleted)
  moved_offers = {}
  for id, tickets in pairs(went) do call_many('SREM', own_key(id), tickets) end
  went = {}
  local tickets = {}
  for ticket in pairs(came) do tickets[#tickets + 1] = ticket end
  came = {}
  local added = call_many('SADD', own_key(my_id), tickets)
  if added > 0 and call('SCARD', own_key(my_id)) <= added then expire(own_key(my_id)) end -- it was empty before
end

-- Take a standing offer away and forget it.
local function remove(ticket, offer)
  leave_book(offer, offer.score .. ticket)
  stands_no_more(offer.owner, ticket)
  set_offer(ticket, false)
end
