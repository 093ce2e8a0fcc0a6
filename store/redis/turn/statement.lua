-- The turn: who states it, and what it says.

if meta.generation == 0 or taken_over then begin() end
drop_all(call('ZRANGEBYSCORE', LEASES, '-inf', exact(now)))

-- The turn ends here: everything is as it was stated before. What is forgotten with a
-- recount is left to the next turn.
local function finish(status, r)
  if recount then
    count_fleet()
    fleet.counted = 0
  end
  save()
  return answer(status, r)
end

local me = replica(my_id)
if me and me.incarnation > incarnation then
  finish()
  return redis.error_reply('SUPERSEDED a later process has taken the id')
end
if me and me.incarnation == incarnation then
  if me.last < answered then
    begin() -- the store was rolled back: it forgot a turn that it answered
    me = nil
  elseif number <= me.last then
    return finish(OK, me) -- late or repeated: the truth has moved on
  end
end
if registering and alone and generation == meta.generation then
  begin()
  me = nil
end
if registering then
  local applied = me and me.incarnation == incarnation and me.batch or 0
  if me then
    drop(me)
  else -- what is left of a record that was lost would be taken for this one's
    drop_limited({ id = my_id })
    drop_loads(my_id)
    forget_keys(my_id)
  end
  me = { id = my_id, incarnation = incarnation, registered = number, sent = read_upto, read = read_upto, unread = 0, batch = applied, bands = {}, dead = {},
    revoking = 0, sheddable = '' }
  replicas[my_id] = me
  recount = true
elseif not (me and me.incarnation == incarnation and generation == meta.generation) then
  if generation == meta.generation and call('HLEN', REPLICAS) == 0 then
    begin() -- everyone was forgotten, and what they hold with them
  end
  return finish(REGISTER)
end

-- Unread messages that are not there were lost, and with them grants that the replica may
-- have read from a wake-up: it must say anew what it has before they stop counting.
local unread = me.sent > me.read and call('LRANGE', messages_key(my_id), '0', '-1') or {}
if not registering and #unread ~= me.sent - me.read then return finish(REGISTER) end

-- The lease, and who is dead.
me.last, me.dirty, me.dead = number, true, {}
call('ZADD', LEASES, exact(now + lease), my_id)
if registering then call('HSET', REPLICAS, my_id, write_replica(me)) end
local evicts = next_flag()
me.revoking, me.sheddable = next_number(), next_arg()
for _ = 1, next_number() do insert(me.dead, next_arg()) end
meta.expected = math.max(meta.expected, members)
for _, id in ipairs(me.dead) do
  -- Whoever lives says something every third of its lease: gossip may be cut
  -- where the ledger is not.
  local lease_end = id ~= my_id and tonumber(call('ZSCORE', LEASES, id) or nil)
  if lease_end and lease_end - now <= lease / 2 and replica(id) and stated_dead_by_all(id) then drop(replica(id)) end
end

count_in(me, -1)

-- Messages that were read are forgotten. The grants among the others are counted anew.
local read = {}
local suggested, unread_of = {}, {} -- unread grants by endpoint, and by flow
me.unread, me.messages = 0, {}
for _, record in ipairs(unread) do
  local m = read_message(record)
  if m[1] <= read_upto then
    insert(read, m)
  else
    insert(me.messages, record)
    if is_grant(m[2]) then
      local id = m[4] .. ':' .. m[6]
      me.unread = me.unread + 1
      suggested[m[9]] = (suggested[m[9]] or 0) + 1
      unread_of[id] = (unread_of[id] or 0) + 1
    end
  end
end
me.read = math.min(read_upto, me.sent)
if #read > 0 then
  forget(me, read)
  call('LTRIM', messages_key(my_id), exact(#read), '-1')
end

-- What the replica states of itself; whatever had drifted is right again.
local before, my_book = bands_of(me), {}
me.bands = {}
for i = 1, next_number() do
  local priority, policy, counts, lifts, half_life = next_number(), next_arg(), next_flag(), next_flag(), next_number()
  local name = open_book(priority, policy, counts, lifts, half_life)
  local limit, in_flight, queued, bytes, v = next_arg(), next_arg(), next_arg(), next_arg(), next_number()
  local record = concat({ exact(priority), name, limit, in_flight, queued, bytes }, PART)
  limit = tonumber(limit)
  me.bands[i] = {
    priority = priority, book = name, limit = limit, in_flight = tonumber(in_flight), queued = tonumber(queued),
    bytes = tonumber(bytes), record = record,
  }
  v = v * books[name].scale
  if registering and v > books[name].v then books[name].v, books[name].moved = v, true end
  my_book[priority] = name
  local b = before[i]
  recount = recount or not b or b.priority ~= priority or b.limit ~= limit or b.book ~= name
end
recount = recount or #before ~= #me.bands
if recount then count_fleet() else count_in(me, 1) end

-- Flows with limits of their own.
local stated_limits, limited = {}, {}
for i = 1, next_number() do
  local id, max, per_minute, in_flight = next_arg(), next_number(), next_number(), next_number()
  local m = limit_of(id)
  if not m then
    m = { max = max, held = 0, per_minute = per_minute, level = per_minute, at = now, seen = now }
    limits[id] = m
  end
  if m.per_minute ~= per_minute then spend(m, 0) end
  m.max, m.per_minute, m.seen, m.moved = max, per_minute, now, true
  count_limited(me, id, in_flight + (unread_of[id] or 0))
  stated_limits[i] = id
  limited[id] = true
end
if registering or full then
  for id in pairs(load_hash(limited_key(my_id), tonumber)) do
    if not limited[id] and id ~= SENTINEL then count_limited(me, id, unread_of[id] or 0) end
  end
end

-- The replica's endpoints.
local wants_loads = next_flag()
local endpoints, loads_at = {}, {}
for _ = 1, next_number() do
  local endpoint, in_flight, tokens = next_arg(), next_number(), next_number()
  if in_flight < 0 then
    forget_load(my_id, endpoint)
  else
    if not loads_at[endpoint] then insert(endpoints, endpoint) end
    loads_at[endpoint] = in_flight + (suggested[endpoint] or 0)
    count_tokens(my_id, endpoint, tokens)
  end
end
count_loads(my_id, endpoints, loads_at)
if registering or full then
  for _, endpoint in ipairs(call('HKEYS', loads_key(my_id))) do
    if not loads_at[endpoint] then forget_load(my_id, endpoint) end
  end
end
if now - audited >= RECOUNT_AFTER or now < audited then audit_loads() end

-- Settlements, once a batch.
local settles = batch > me.batch
me.batch = math.max(me.batch, batch)
for _ = 1, next_number() do
  local flow, priority, policy, delta, counter = next_arg(), next_number(), next_arg(), next_number(), next_number()
  local tokens = next_number()
  if settles then
    settle(book_name(exact(priority), policy), flow, delta, counter)
    local m = limit_of(exact(priority) .. ':' .. flow)
    if m then spend(m, tokens) end
  end
end

-- Counters that a registering replica was last told.
for _ = 1, next_number() do
  local flow, priority, value = next_arg(), next_number(), next_number()
  local book = books[my_book[priority]]
  if book and book.counts then
    local counter = counter_of(book, flow)
    value = value * book.scale
    if not counter or counter < value then
      set_counter(book, flow, value)
      if not move(book, flow, value) and not counter then mark_idle(book, flow) end
    end
  end
end

-- Withdrawals.
local withdrawn = {}
for i = 1, next_number() do withdrawn[i] = next_arg() end
look_at_offers(withdrawn)
for _, ticket in ipairs(withdrawn) do
  local offer = offers[ticket]
  if offer and offer.owner == my_id and not offer.granted then remove(ticket, offer) end
end

-- Offers.
local stated, tickets, flows, restated, came = {}, {}, {}, {}, {}
for i = 1, next_number() do
  local ticket, flow, priority = next_arg(), next_arg(), next_number()
  local book = my_book[priority]
  stated[i] = {
    book = book, flow = flow, rank = next_arg(), charge = next_arg(), score = next_arg(), idle = next_flag(), tokens = next_arg(),
    owner = my_id, granted = false,
  }
  tickets[i], restated[ticket] = ticket, true
  if book then
    flows[book] = flows[book] or {}
    insert(flows[book], flow)
  end
end
look_at_offers(tickets)
for name, of in pairs(flows) do
  if books[name].counts then look_at_counters(books[name], of) end
end
for i, ticket in ipairs(tickets) do
  local new, offer = stated[i], offers[ticket]
  if offer and offer.granted then
    if offer.owner ~= my_id then
      post(me, TAKEN, ticket, offer, counter_of(books[offer.book], offer.flow))
    end
  else
    if offer then
      if offer.owner == my_id then
        new.idle = false -- it stood before: it was lifted then, or had not to be
      elseif replica(offer.owner) then
        post(replica(offer.owner), DROPPED, ticket, offer)
      end
      remove(ticket, offer)
    end
    if new.book then
      set_offer(ticket, new)
      insert(came, ticket)
      stand(new, new.score .. ticket, new.idle)
    end
  end
end
if registering or full then
  for _, ticket in ipairs(call('SMEMBERS', own_key(my_id))) do
    if not restated[ticket] then
      local offer = offer_of(ticket)
      if offer then remove(ticket, offer) else stands_no_more(my_id, ticket) end
    end
  end
end
save_went(my_id)
local added = call_many('SADD', own_key(my_id), came)
if added > 0 and call('SCARD', own_key(my_id)) <= added then expire(own_key(my_id)) end -- it was empty before this turn
