-- Offers and mail.

local function offer_of(ticket)
  local record = call('HGET', base .. ':offers', ticket)
  return record and read_offer(record)
end

local function save_offer(ticket, offer) call('HSET', base .. ':offers', ticket, write_offer(offer)) end

-- Take a standing offer away and forget it.
local function remove(ticket, offer)
  leave_book(offer, offer.score .. ticket)
  call('SREM', base .. ':own:' .. offer.owner, ticket)
  call('HDEL', base .. ':offers', ticket)
end

-- Put mail in a replica's box. A grant has the endpoint with the least load.
local function post(r, kind, ticket, offer, counter, endpoint, load)
  r.sent = r.sent + 1
  r.dirty, r.letters = true, r.letters or {}
  local book = books[offer.book]
  local key = base .. ':mail:' .. r.id
  local letter = concat({ exact(r.sent), kind, ticket, book.priority, book.policy, offer.flow,
    offer.charge, exact((counter or 0) / book.scale), endpoint or '', load or '0' }, FIELD)
  insert(r.letters, letter)
  local n = call('RPUSH', key, letter)
  if n == 1 then expire(key) end
  if is_grant(kind) then
    r.unread = r.unread + 1
    fleet.held = fleet.held + 1
  end
end

-- Forget a piece of mail that was read, or whose replica is gone.
local function forget(r, mail)
  if mail[2] == GRANTED then return end
  local offer = offer_of(mail[3])
  if offer and offer.granted and offer.owner == r.id then call('HDEL', base .. ':offers', mail[3]) end
end
