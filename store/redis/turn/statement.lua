-- The turn: who states it, and what it says.

local me      -- the replica that takes it
local unread  -- messages that it has not read
local my_book -- the names of its bands' books, by priority

do

local known                -- whether the ledger knows it in this generation
local suggested, unread_of -- the grants among the unread messages, by endpoint, and by flow and group
local same                 -- whether it states the same of its bands as before, and had and has no grants unread

-- The turn ends here: everything is as it was stated before. What is forgotten with a
-- recount is left to the next turn.
local function finish(status, r)
  if recount then
    count_fleet()
    fleet.counted = 0
  end
  save()
  local reply = answer(status, r)
  cache_again()
  return encode.reply(reply)
end

-- A replica that states what cannot be is refused before anything of it is taken in: it is
-- not the ledger that is damaged, and the others keep theirs.
step(function()
  local before = cached.replicas[my_id] and cached.replicas[my_id].totals or {}
  for i, st in ipairs(stated.bands) do
    local total, readable = before[i], true
    if not total or total.record ~= st.total then readable, total = pcall(decode.total, st.total) end
    if not readable then return redis.error_reply('UNREADABLE the totals stated for a band: ' .. st.total) end
    st.read = total
  end
end)

-- Replicas whose leases ended, and what no longer counts of those that were lost.
step(function()
  order.pass()
  if fleet.generation == 0 then leases.begin() end
  if not (now >= cached.looked and now < cached.lease_ends) then
    local ended = call('ZRANGEBYSCORE', LEASES, '-inf', exact(now), 'WITHSCORES')
    if #ended > 0 then
      local ids = {}
      for i = 1, #ended, 2 do
        if tonumber(ended[i + 1]) < now - 86400e6 then damaged('lease', ended[i]) end -- its key would be gone
        insert(ids, ended[i])
      end
      leases.lose(ids, 0)
    end
    leases.note_next()
  end
  for id, r in pairs(lost) do
    if r.ends <= now then leases.free_held(id) end
  end
end)

-- Who takes the turn, and whether that was taken before.
step(function()
  me = replica(my_id)
  local past = lost[my_id]
  if me and me.incarnation > stated.incarnation or past and past.incarnation > stated.incarnation then
    finish()
    return redis.error_reply('SUPERSEDED a later process has taken the id')
  end
  if me and me.incarnation == stated.incarnation then
    if me.last < stated.answered then
      leases.begin() -- the store was rolled back: it forgot a turn that it answered
      me = nil
    elseif stated.number <= me.last then
      return finish(OK, me) -- late or repeated: the truth has moved on
    end
  end
  known = me and me.incarnation == stated.incarnation and stated.generation == fleet.generation
end)

-- Messages that it has read are forgotten. The grants among them are in flight: they stay
-- charged if it registers.
step(function()
  unread = {}
  if known then
    local records = me.sent > me.read and call('LRANGE', messages_key(my_id), '0', '-1') or {}
    -- Unread messages that are not there were lost, and with them grants that the replica may
    -- have read from a wake-up: it must say anew what it has before they stop counting.
    if not stated.register and #records ~= me.sent - me.read then return finish(REGISTER) end
    -- It has read what was never sent, and would take none of the messages up to there.
    if not stated.register and stated.read_upto > me.sent then return finish(REGISTER) end
    local read, tickets = 0, {}
    for _, record in ipairs(records) do
      local m = cached_late(cached.messages, record)
      local number, kind, ticket
      if m then number, kind, ticket = m.number, m.kind, m.ticket else number, kind, ticket = decode.message_head(record) end
      if number > stated.read_upto then
        m = m or decode.message(record)
        if not possible.message(m) then damaged('message', record) end
        m.record = record
        insert(unread, m)
      else
        read = read + 1
        if is_taken(kind) then insert(tickets, ticket) end
      end
    end
    if read > 0 then
      forget_taken(me, tickets)
      call('LTRIM', messages_key(my_id), exact(read), '-1')
    end
  end
end)

-- Registering.
step(function()
  if stated.register and stated.alone and stated.generation == fleet.generation then
    leases.begin()
    me = nil
  end
  if stated.register then
    local earlier = me or lost[my_id]
    local applied = earlier and earlier.incarnation == stated.incarnation and earlier.batch or 0
    if me then leases.end_one(me) end
    -- What it states now is the truth, and what is left of a record that is not there would
    -- be taken for this one's, and off sums that have nothing of it: they are added up anew.
    fleet.audited = 0
    places.leave(my_id)
    loads.unlist_all(my_id)
    leases.free_held(my_id)
    leases.forget_keys(my_id)
    me = {
      id = my_id, incarnation = stated.incarnation, registered = stated.number, last = stated.number, batch = applied,
      sent = stated.read_upto, read = stated.read_upto, unread = 0, granted = '', float = 0, want_float = 0, lent = false,
      usual = 0, line = 0, want_line = 0, dead = '', bands = '', revoking = 0, sheddable = '', longest = 0, pace = 0,
      capacity = 0,
    }
    replicas[my_id], unread, recount = me, {}, true
  elseif not known then
    if stated.generation == fleet.generation and call('HLEN', REPLICAS) == 0 then
      if call('ZCARD', LEASES) > 0 then damaged('replicas', 'none') end -- their loads are there yet
      leases.begin() -- everyone was forgotten, and what they hold with them
    end
    return finish(REGISTER)
  end
end)

-- The lease, and who is dead.
step(function()
  me.last, me.dirty, me.dead = stated.number, true, concat(stated.dead, ITEM)
  call('ZADD', LEASES, exact(now + settings.lease), my_id)
  cached.lease_ends = math.min(cached.lease_ends, now + settings.lease)
  if stated.register then call('HSET', REPLICAS, my_id, encode.replica(me)) end
  me.revoking, me.sheddable, me.longest, me.pace = stated.revoking, stated.sheddable, stated.longest, stated.pace
  fleet.expected = math.max(fleet.expected, stated.members)
  for _, run in ipairs(stated.ended) do
    local r = leases.is_silent(run.replica) and replica(run.replica)
    if r and r.incarnation <= run.incarnation then leases.drop(r) end
    local gone = lost[run.replica]
    if gone and gone.incarnation <= run.incarnation then leases.free_held(run.replica) end
  end
  for _, id in ipairs(stated.dead) do
    if leases.is_silent(id) and replica(id) and leases.stated_dead_by_all(id) then leases.lose({ id }, 0) end
  end
end)

-- What it stated before no longer counts, and the grants among the unread messages are
-- counted anew.
step(function()
  local totals = bands_of(me)
  same = me.unread == 0 and #unread == 0 and #stated.bands == #totals
  for i, st in ipairs(stated.bands) do same = same and st.read == totals[i] end
  if same then
    count_permits(me, -1)
  else
    order.remember_counted(me)
    count_in(me, -1)
  end
  suggested, unread_of = {}, {}
  me.line = stated.in_line
  me.unread, me.by_priority, me.messages = 0, {}, {}
  for _, m in ipairs(unread) do
    insert(me.messages, m.record)
    if is_grant(m.kind) then
      me.unread = me.unread + 1
      me.by_priority[m.priority] = (me.by_priority[m.priority] or 0) + 1
      suggested[m.endpoint] = (suggested[m.endpoint] or 0) + 1
      unread_of[m.flow] = (unread_of[m.flow] or 0) + 1
      for _, id in ipairs(groups.around(m.group)) do unread_of[id] = (unread_of[id] or 0) + 1 end
      if m.ticket == NOBODY then me.line = math.max(0, me.line - 1) end
    elseif is_line(m.kind) then
      me.line = me.line + 1
    end
  end
  me.read = math.min(stated.read_upto, me.sent)
end)

-- What the replica states of itself; whatever had drifted is right again.
step(function()
  me.float, me.want_float, me.lent = stated.float, stated.want_float, false
  me.want_line = stated.want_line
  my_book = {}
  local before, records = bands_of(me), {}
  me.totals = {}
  for i, st in ipairs(stated.bands) do
    local total = st.read
    total.record, records[i], me.totals[i] = st.total, st.total, total
    open_book(total.book, total.priority, st)
    local book = books[total.book]
    if stated.register then
      book.v = math.max(book.v, st.v * book.scale)
      book.level, book.moved = math.max(book.level, st.level * book.scale, book.v), true
      order.restore(total.priority, st.owed)
    end
    my_book[total.priority] = total.book
    local b = before[i]
    recount = recount or not b or b.priority ~= total.priority or b.limit ~= total.limit or b.guaranteed ~= total.guaranteed or
      b.weight ~= total.weight or b.book ~= total.book
  end
  me.bands = concat(records, ITEM)
  recount = recount or me.capacity ~= stated.capacity or #before ~= #me.totals
  me.capacity = stated.capacity
  if recount then
    count_fleet()
  elseif same then
    count_permits(me, 1)
  else
    count_in(me, 1)
  end
  if not same then order.note_by_float(me.totals) end
end)

-- Groups.
step(function()
  for _, st in ipairs(stated.groups) do
    local book = my_book[st.priority]
    st.node = book and groups.open(book, st.path)
    if st.node and st.node.outer then groups.take(st.node, st) end
  end
end)

-- Flows with limits of their own, and groups with a maximum.
step(function()
  if #stated.limited == 0 and not stated.register and not stated.full then return end
  local limited, ids = {}, {}
  for i, st in ipairs(stated.limited) do
    st.id = st.group == '' and st.flow or groups.limited(st.group)
    ids[i] = st.id
  end
  look_at_limits(ids)
  for _, st in ipairs(stated.limited) do
    local m = limits[st.id]
    if not m then
      m = { max = st.max, per_minute = st.per_minute, level = st.per_minute, at = now, seen = now }
      m.held = tonumber(call('HGET', HELD, st.id) or 0)
      limits[st.id] = m
    end
    if m.per_minute ~= st.per_minute then spend(m, 0) end
    m.max, m.per_minute, m.seen, m.moved = st.max, st.per_minute, now, true
    if st.slots > 0 then m.max = math.max(1, math.floor(places.of_fleet(st.slots, stated.capacity))) end
    if st.group ~= '' and st.guaranteed ~= NO_OPINION then order.guarantee(st.id, places.of_fleet(st.guaranteed, stated.capacity)) end
    if stated.register and order.account_of(st.id).slots > 0 then order.restore(st.id, st.owed) end
    local counted = count_limited(me, st.id, st.in_flight + (unread_of[st.id] or 0))
    if st.in_flight > counted then order.note_granted(st.id, false, groups.in_flight(st.id) - 1) end
    limited[st.id] = true
  end
  if stated.register or stated.full then
    for _, id in ipairs(call('HKEYS', limited_key(my_id))) do
      if not limited[id] then count_limited(me, id, unread_of[id] or 0) end
    end
  end
end)

-- The replica's endpoints.
step(function()
  if #stated.loads == 0 and not stated.register and not stated.full then return end
  local endpoints, loads_at = {}, {}
  local capacity_before = fleet.capacity
  local function list_endpoint(endpoint, in_flight, tokens, capacity, permits)
    if not loads_at[endpoint] then insert(endpoints, endpoint) end
    loads_at[endpoint] = in_flight + (suggested[endpoint] or 0)
    loads.count_tokens(my_id, endpoint, tokens)
    places.state(my_id, endpoint, capacity, permits)
  end
  -- One that it has no more stays on its list while a grant to go there is unread.
  local function unlist_endpoint(endpoint)
    if suggested[endpoint] then return list_endpoint(endpoint, 0, 0, places.CLOSED, 0) end
    if call('HEXISTS', loads_key(my_id), endpoint) == 1 then loads.unlist(my_id, endpoint) end
    loads.forget(my_id, endpoint)
    places.state(my_id, endpoint, 0, 0)
  end
  for _, st in ipairs(stated.loads) do
    if st.in_flight < 0 then unlist_endpoint(st.endpoint) else list_endpoint(st.endpoint, st.in_flight, st.tokens, st.capacity, st.permits) end
  end
  if stated.register or stated.full then
    local repeated = {}
    for _, st in ipairs(stated.loads) do repeated[st.endpoint] = true end
    for _, endpoint in ipairs(call('HKEYS', loads_key(my_id))) do
      if not repeated[endpoint] then unlist_endpoint(endpoint) end
    end
  end
  loads.count(my_id, endpoints, loads_at)
  if fleet.capacity ~= capacity_before then places.relimit() end
end)

-- Once a second all of that is added up anew.
step(function()
  if now - fleet.audited >= RECOUNT_AFTER or now < fleet.audited then
    loads.audit()
    places.audit()
    if call('EXISTS', LIMITS, HELD) > 0 then
      audit_limits()
      forget_limits()
    end
    fleet.audited = now
  end
end)

-- Settlements, once a batch.
step(function()
  if stated.batch > me.batch then
    me.batch = stated.batch
    for _, st in ipairs(stated.settlements) do
      local name = groups.name(book_name(exact(st.priority), st.policy), st.group)
      if st.last > 0 then spent(name, st) else settle(name, st, true) end
      local m = limit_of(st.flow)
      if m then spend(m, st.tokens) end
    end
  end
end)

-- Counters that a registering replica last learnt.
step(function()
  for _, st in ipairs(stated.counters) do
    local book = my_book[st.priority] and groups.open(my_book[st.priority], st.group)
    if book and book.counts then
      local counter, value = counter_of(book, st.flow), st.value * book.scale
      if not counter or counter < value then
        set_counter(book, st.flow, value)
        if not move(book, st.flow, value) and not counter then mark_idle(book, st.flow) end
      end
    end
  end
end)

end
