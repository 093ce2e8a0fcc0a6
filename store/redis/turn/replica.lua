-- Messages to replicas.

local function is_grant(kind) return kind == GRANTED or kind == GRANTED + TAKEN end

local function is_line(kind) return kind == LINED or kind == LINED + TAKEN end

local function is_taken(kind) return kind == TAKEN or kind == GRANTED + TAKEN or kind == LINED + TAKEN end

local NOBODY = '0000000000000000:' -- no ticket: the grant is for the first in line

-- Leave a replica a message.
local function leave_message(r, m)
  local number, posted, priority = r.sent + 1, r.posted, m.priority
  r.sent, m.number = number, number
  if not posted then
    posted = {}
    r.dirty, r.posted = true, posted
  end
  local record = encode.message(m)
  cache_late(cached.messages, record, m)
  posted[#posted + 1] = record
  if is_grant(m.kind) then
    r.unread, fleet.held = r.unread + 1, fleet.held + 1
    local granted, band = r.by_priority or granted_to(r), fleet.bands[priority]
    granted[priority] = (granted[priority] or 0) + 1
    if band then band.in_flight = band.in_flight + 1 end
  end
end

-- Leave a replica a message about an offer. A grant has the endpoint with the least load.
local function post(r, kind, ticket, offer, counter, endpoint, load)
  local book = book_at(offer.book)
  leave_message(r, {
    number = 0, kind = kind, ticket = ticket, priority = book.priority, policy = book.policy, group = book.path or '',
    flow = offer.flow, charge = offer.charge, service = book.outer and groups.service(book, offer) or 0, counter = (counter or 0) / book.scale, endpoint = endpoint or '', load = load or 0,
  })
end

-- Have a replica say at once what it has, and give up what it may.
local function recall(r) r.recall, r.dirty, r.posted = true, true, r.posted or {} end

-- Recall those who have something to return, or may have, if that was not done within this
-- time: a wake-up may be lost. It returns when it last was.
local RECALL_EVERY = 25000
local function recall_all(last, has)
  if now - last < RECALL_EVERY then return last end
  for _, r in pairs(every_replica()) do
    if r and has(r) then
      recall(r)
      last = now
    end
  end
  return last
end

-- The messages that a replica has not read.
local function messages_to(r)
  local unread = call('LRANGE', messages_key(r.id), '0', '-1')
  for i, record in ipairs(unread) do unread[i] = decode.message(record) end
  return unread
end

-- Forget the offers of an owner that messages say are taken, once they were read, or the
-- owner is gone.
local function forget_taken(r, tickets)
  look_at_offers(tickets)
  for _, ticket in ipairs(tickets) do
    local offer = offers[ticket]
    if offer and offer.granted and offer.owner == r.id then set_offer(ticket, false) end
  end
end
