-- Replicas that go, and generations that begin.

-- Forget a replica: its offers, what it held, and the charges of grants it
-- never read.
local function drop(r)
  for _, record in ipairs(call('LRANGE', base .. ':mail:' .. r.id, 0, -1)) do
    local mail = read_mail(record)
    if is_grant(mail[2]) then
      settle(book_name(mail[4], mail[5]), mail[6], -tonumber(mail[7]), tonumber(mail[8]))
    end
    forget(r, mail)
  end
  for _, ticket in ipairs(call('SMEMBERS', base .. ':own:' .. r.id)) do
    local offer = offer_of(ticket)
    if offer and offer.owner == r.id and not offer.granted then remove(ticket, offer) end
  end
  drop_limited(r)
  drop_loads(r.id)
  call('DEL', base .. ':own:' .. r.id, base .. ':mail:' .. r.id, base .. ':uncounted:' .. r.id, base .. ':limited:' .. r.id)
  call('HDEL', base .. ':replicas', r.id)
  call('ZREM', base .. ':leases', r.id)
  replicas[r.id] = false
  recount = true
end

-- Forget those replicas, in the order of their ids: the sums that their charges
-- are taken off round alike wherever the same history is told.
local function drop_all(ids)
  table.sort(ids)
  for _, id in ipairs(ids) do
    if replica(id) then drop(replica(id)) else call('ZREM', base .. ':leases', id) end
  end
end

-- Begin a generation, in recovery: whatever the replicas stated is forgotten, and
-- what the flows were served stays on the books.
local function begin()
  drop_all(call('HKEYS', base .. ':replicas'))
  for book in pairs(books) do
    for _, flow in ipairs(call('HKEYS', base .. ':count:' .. book)) do
      if flow ~= SENTINEL and call('DEL', flow_key(book, flow)) == 1 then mark_idle(book, flow) end
    end
    call('DEL', base .. ':wait:' .. book)
    hold(book)
  end
  call('DEL', base .. ':leases', base .. ':replicas', base .. ':offers')
  meta = { generation = math.max(meta.generation + 1, now), recovering = true, recovered = now + recovery, expected = 0 }
  replicas, recount = {}, true
end

-- Whether every other replica believes this one dead.
local function stated_dead_by_all(dead)
  for id, other in pairs(every_replica()) do
    if other and id ~= dead then
      local says = false
      for _, d in ipairs(other.dead) do says = says or d == dead end
      if not says then return false end
    end
  end
  return true
end
