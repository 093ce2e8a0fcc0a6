-- Replicas that go, and generations that begin.

local function forget_keys(id)
  call('DEL', own_key(id), messages_key(id), limited_key(id))
  went[id] = nil
end

-- Forget a replica: its offers, what it held, and the charges of grants it
-- never read.
local function drop(r)
  local unread = messages_to(r)
  for _, m in ipairs(unread) do
    if is_grant(m.kind) then
      settle(book_name(exact(m.priority), m.policy), m.flow, -tonumber(m.charge), m.counter, 0)
    end
  end
  forget(r, unread)
  local own = call('SMEMBERS', own_key(r.id))
  look_at_offers(own)
  for _, ticket in ipairs(own) do
    local offer = offers[ticket]
    if offer and offer.owner == r.id and not offer.granted then remove(ticket, offer) end
  end
  drop_limited(r)
  drop_loads(r.id)
  forget_keys(r.id)
  call('HDEL', REPLICAS, r.id)
  call('ZREM', LEASES, r.id)
  replicas[r.id] = false
  recount = true
end

-- Forget those replicas, in the order of their ids: the sums that their charges
-- are taken off round alike wherever the same history is told.
local function drop_all(ids)
  table.sort(ids)
  for _, id in ipairs(ids) do
    if replica(id) then drop(replica(id)) else call('ZREM', LEASES, id) end
  end
end

-- Begin a generation, in recovery: whatever the replicas stated is forgotten, and
-- what the flows were served stays on the books.
local function begin()
  drop_all(call('HKEYS', REPLICAS))
  save_books()
  for _, book in pairs(books) do
    for _, flow in ipairs(call('HKEYS', book.count)) do
      if flow ~= SENTINEL and call('DEL', book.flow .. flow) == 1 then mark_idle(book, flow) end
    end
    call('DEL', book.wait)
    hold(book)
    book.weight, book.moved = 0, true
  end
  call('DEL', LEASES, REPLICAS, OFFERS)
  offers, moved_offers, went = {}, {}, {}
  fleet.generation = math.max(fleet.generation + 1, now)
  fleet.recovering, fleet.recovered, fleet.expected = true, now + settings.recovery, 0
  replicas, recount = {}, true
end

-- Whether every other replica believes this one dead.
local function stated_dead_by_all(dead)
  for id, other in pairs(every_replica()) do
    if other and id ~= dead then
      local says = false
      for _, d in ipairs(split(other.dead, ITEM)) do says = says or d == dead end
      if not says then return false end
    end
  end
  return true
end
