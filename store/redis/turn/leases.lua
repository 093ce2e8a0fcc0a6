-- Replicas that go, and generations that begin. The functions are fields of one table: Lua
-- has room for 200 names.

local leases = {}
do

local LOST_FACTOR = 2

function leases.forget_keys(id)
  call('DEL', own_key(id), messages_key(id))
  went[id] = nil
end

-- End a replica's lease: its offers go, and the charges of grants and places in line that
-- it never read go back. What it held stays counted.
function leases.end_one(r)
  local tickets = {}
  for _, m in ipairs(messages_to(r)) do
    if is_taken(m.kind) then insert(tickets, m.ticket) end
    if is_grant(m.kind) or is_line(m.kind) then
      local back = { flow = m.flow, delta = -tonumber(m.charge), service = -m.service, counter = m.counter, weight = 0 }
      settle(groups.name(book_name(exact(m.priority), m.policy), m.group), back, false)
    end
  end
  forget_taken(r, tickets)
  local own = call('SMEMBERS', own_key(r.id))
  look_at_offers(own)
  for _, ticket in ipairs(own) do
    local offer = offers[ticket]
    if offer and offer.owner == r.id and not offer.granted then remove(ticket, offer) end
  end
  order.forgive(r)
  leases.forget_keys(r.id)
  call('HDEL', REPLICAS, r.id)
  call('ZREM', LEASES, r.id)
  replicas[r.id] = false
  fleet.members, recount = fleet.members - 1, true
  places.leave(r.id)
  loads.unlist_all(r.id)
end

-- Stop counting what a replica without a lease held.
function leases.free_held(id)
  drop_limited(id)
  loads.drop(id)
  if not lost[id] then return end
  call('HDEL', LOST, id)
  lost[id], fleet.lost, recount = nil, fleet.lost - 1, true
end

-- Forget a replica, and what it held.
function leases.drop(r)
  leases.end_one(r)
  leases.free_held(r.id)
end

-- End the leases of those replicas without proof that their requests ended: a stopped
-- process, or one that was cut off, may have them in flight still. What they held stays
-- counted until there is evidence, or until so much time has passed that they cannot, and
-- that begins once they can let no more go by what they were given before: meanwhile from
-- now. Which settlements of theirs were applied is known for as long: they may not have
-- heard.
-- It is done in the order of their ids: the sums that charges are taken off round alike
-- wherever the same history is told.
function leases.lose(ids, meanwhile)
  local longest = 0
  for _, r in pairs(every_replica()) do longest = math.max(longest, r and r.longest or 0) end
  local ends = now + meanwhile + math.min(LOST_FACTOR * longest, settings.keep_lost)
  ranking.sort(ids)
  for _, id in ipairs(ids) do
    local r = replica(id)
    if not r then
      call('ZREM', LEASES, id)
    else
      local held = held_by(r)
      leases.end_one(r)
      if held == 0 and r.batch == 0 then
        leases.free_held(id)
      else
        -- None of its requests may have ended because they take longer than all others.
        local last = r.longest > 0 and held > 0 and ends or now + meanwhile + settings.keep_lost
        lost[id], fleet.lost = { incarnation = r.incarnation, held = held, ends = last, batch = r.batch }, fleet.lost + 1
        call('HSET', LOST, id, encode.lost(lost[id]))
        expire(LOST)
      end
    end
  end
end

-- Note until when no lease can end: none becomes shorter than a whole one, and new ones are noted.
function leases.note_next()
  local first = call('ZRANGE', LEASES, '0', '0', 'WITHSCORES')
  cached.looked, cached.lease_ends = now, math.min(tonumber(first[2] or nil) or now, now + settings.lease)
end

-- Begin a generation, in recovery: whatever the replicas stated is forgotten, but for
-- what they held until they say so themselves, and what the flows were served stays on
-- the books.
--
-- It waits for as many as had leases, and as a recovery that was under way waited for: those
-- who register first may not know of the others.
function leases.begin()
  local expected = fleet.members
  if fleet.recovering then expected = math.max(expected, fleet.expected) end
  leases.lose(call('HKEYS', REPLICAS), settings.recovery)
  save_books()
  for _, book in pairs(books) do groups.clear(book) end
  call('DEL', LEASES, REPLICAS, OFFERS)
  offers, moved_offers, went = {}, {}, {}
  fleet.generation = math.max(fleet.generation + 1, now)
  fleet.recovering, fleet.recovered, fleet.expected = true, now + settings.recovery, expected
  replicas, recount = {}, true
end

-- Whether a replica has taken no turn for half its lease. A live one takes one every
-- third: gossip may be cut where the ledger is not.
function leases.is_silent(id)
  local lease_end = id ~= my_id and tonumber(call('ZSCORE', LEASES, id) or nil)
  return lease_end and lease_end - now <= settings.lease / 2
end

-- Whether every other replica believes this one dead.
function leases.stated_dead_by_all(dead)
  for id, other in pairs(every_replica()) do
    if other and id ~= dead then
      local says = false
      for _, d in ipairs(split(other.dead, ITEM)) do says = says or d == dead end
      if not says then return false end
    end
  end
  return true
end

end
