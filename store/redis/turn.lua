-- One turn of a replica with the pool's ledger; see store.Ledger for the
-- contract and store/memory for the same in Go.
--
-- KEYS[1] is the pool's base key, "<prefix>{<pool>}". All other keys start with
-- it and share its hash tag, so that a pool lives on one cluster slot:
--
--   base               hash    generation, recovering, recovered, expected
--   base:replicas      hash    id -> record of every replica with a lease
--   base:books         hash    book -> record: V, the policy's account
--   base:bands         hash    priority -> record: the book whose turn it is, books
--   base:offers        hash    ticket -> record; granted ones until their owner
--                              has read so
--   base:own:ID        set     the tickets that stand in the replica's name
--   base:mail:ID       list    records of mail the replica has not read
--   base:told:ID       set     tickets of that mail the replica counts as standing
--   base:wait:BOOK     zset    the first offer of every waiting flow by its rank,
--                              or every offer where service is not counted
--   base:flow:BOOK:F   zset    a flow's offers in their order
--   base:count:BOOK    hash    flow -> counter
--   base:idle:BOOK     zset    flows without offers, by when to look at them
--   base:since:BOOK    zset    the same flows, by when they became idle
--
-- A zset member is the offer's score and ticket in fixed-width hexadecimal, so
-- that members of equal score sort as the ledger orders them.
--
-- A record is its fields joined by a separator, which the caller keeps out of
-- ids, flows and policies by escaping. ARGV is the statement, flat: what it holds
-- is read in order by next_arg.

local base = KEYS[1]
local GRANTED, TAKEN, DROPPED = 1, 2, 4
local OK, REGISTER, RESYNC = 0, 1, 2
local NO_OPINION = -1

local position = 0
local function next_arg()
  position = position + 1
  return ARGV[position]
end
local function next_number() return tonumber(next_arg()) end
local function next_flag() return next_arg() == '1' end

local call = redis.call
local function exact(x) return string.format('%.17g', x) end

-- Records.
local FIELD, ITEM, PART = '\31', '\30', '\29'
local function join(separator, ...) return table.concat({ ... }, separator) end
local function split(s, separator)
  local parts = {}
  if s == '' then return parts end
  for part in string.gmatch(s .. separator, '([^' .. separator .. ']*)' .. separator) do table.insert(parts, part) end
  return parts
end
local function flag(set) return set and '1' or '0' end

local function write_offer(o)
  return join(FIELD, o.book, o.flow, exact(o.rank), exact(o.charge), o.score, o.owner, flag(o.granted))
end
local offer_fields = '^' .. string.rep('([^\31]*)\31', 6) .. '([^\31]*)$'
local function read_offer(s)
  local book, flow, rank, charge, score, owner, granted = string.match(s, offer_fields)
  return { book = book, flow = flow, rank = tonumber(rank), charge = tonumber(charge), score = score, owner = owner, granted = granted == '1' }
end

local function write_replica(r)
  local stated = {}
  for i, b in ipairs(r.bands) do
    stated[i] = join(PART, b.priority, b.book, exact(b.limit), exact(b.in_flight), exact(b.queued), exact(b.bytes))
  end
  return join(FIELD, r.id, r.incarnation, exact(r.last), exact(r.batch), exact(r.lease), exact(r.sent), exact(r.unread),
    table.concat(r.dead, ITEM), table.concat(stated, ITEM))
end
local function read_replica(s)
  local f = split(s, FIELD)
  local r = {
    id = f[1], incarnation = f[2], last = tonumber(f[3]), batch = tonumber(f[4]), lease = tonumber(f[5]),
    sent = tonumber(f[6]), unread = tonumber(f[7]), dead = split(f[8], ITEM), bands = {},
  }
  for i, stated in ipairs(split(f[9], ITEM)) do
    local b = split(stated, PART)
    r.bands[i] = {
      priority = tonumber(b[1]), book = b[2], limit = tonumber(b[3]), in_flight = tonumber(b[4]),
      queued = tonumber(b[5]), bytes = tonumber(b[6]),
    }
  end
  return r
end

local function write_book(b) return join(FIELD, exact(b.v), flag(b.counts), flag(b.lifts), b.priority, b.policy) end
local function read_book(s)
  local f = split(s, FIELD)
  return { v = tonumber(f[1]), counts = f[2] == '1', lifts = f[3] == '1', priority = tonumber(f[4]), policy = f[5] }
end

local function write_band(b) return exact(b[1]) .. FIELD .. table.concat(b, FIELD, 2) end
local function read_band(s)
  local b = split(s, FIELD)
  b[1] = tonumber(b[1])
  return b
end

local function read_mail(s)
  local m = split(s, FIELD)
  m[1], m[2] = tonumber(m[1]), tonumber(m[2])
  return m
end

-- The ledger's settings and the statement's head.
local ttl        = next_arg()         -- of every key, in milliseconds
local publish    = next_arg()         -- PUBLISH, or SPUBLISH on a cluster
local lease      = next_number()      -- microseconds, as all times here
local recovery   = next_number()
local idle_after = next_number()
local keep_for   = next_number()
local now        = next_arg()         -- empty: the server's clock
local my_id       = next_arg()
local incarnation = next_arg()        -- zero-padded, so that strings compare
local number      = next_number()
local answered    = next_number()
local generation  = next_number()
local read_upto   = next_number()
local members     = next_number()
local registering = next_flag()
local resyncing   = next_flag()
local alone       = next_flag()
local leaving     = next_flag()
local stated_standing = next_number()
local batch       = next_number()

if now == '' then
  local time = call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
else
  now = tonumber(now)
end

-- Every key written gets a fresh TTL at the end: an abandoned pool vanishes.
local touched = {}
local function touch(key)
  touched[key] = true
  return key
end

-- State, loaded once and written back where it changed. ---------------------

local meta, replicas, books, bands

local function load_hash(key, read)
  local flat, loaded = call('HGETALL', key), {}
  for i = 1, #flat, 2 do loaded[flat[i]] = read(flat[i + 1]) end
  return loaded
end

local function load()
  local m = call('HMGET', base, 'generation', 'recovering', 'recovered', 'expected')
  meta = {
    generation = tonumber(m[1] or 0), recovering = m[2] == '1',
    recovered = tonumber(m[3] or 0), expected = tonumber(m[4] or 0),
  }
  replicas = load_hash(base .. ':replicas', read_replica)
  books = load_hash(base .. ':books', read_book)
  bands = load_hash(base .. ':bands', read_band)
end

local function save_replica(r)
  call('HSET', touch(base .. ':replicas'), r.id, write_replica(r))
end

local function count_replicas()
  local n = 0
  for _ in pairs(replicas) do n = n + 1 end
  return n
end

-- Forget everything and begin a generation, in recovery.
local function begin()
  for id in pairs(replicas) do
    call('DEL', base .. ':own:' .. id, base .. ':mail:' .. id, base .. ':told:' .. id)
  end
  for book in pairs(books) do
    for _, flow in ipairs(call('HKEYS', base .. ':count:' .. book)) do
      call('DEL', base .. ':flow:' .. book .. ':' .. flow)
    end
    call('DEL', base .. ':wait:' .. book, base .. ':count:' .. book,
      base .. ':idle:' .. book, base .. ':since:' .. book)
  end
  call('DEL', base .. ':replicas', base .. ':books', base .. ':bands', base .. ':offers')
  meta = { generation = math.max(meta.generation + 1, now), recovering = true, recovered = now + recovery, expected = 0 }
  replicas, books, bands = {}, {}, {}
end

-- Books: flows, counters, offers. -------------------------------------------

local function book_name(priority, policy) return priority .. ':' .. #policy .. ':' .. policy end

local function save_book(name) call('HSET', touch(base .. ':books'), name, write_book(books[name])) end

-- The book of that priority and policy, made if need be.
local function open_book(priority, policy, counts, lifts)
  local name = book_name(priority, policy)
  if not books[name] then
    books[name] = { v = 0, counts = counts, lifts = lifts, priority = priority, policy = policy }
    save_book(name)
    local key = tostring(priority)
    bands[key] = bands[key] or { 0 }
    table.insert(bands[key], name)
    call('HSET', touch(base .. ':bands'), key, write_band(bands[key]))
  end
  return name
end

local function counter_of(book, flow)
  local c = call('HGET', base .. ':count:' .. book, flow)
  return c and tonumber(c)
end

local function set_counter(book, flow, value)
  call('HSET', touch(base .. ':count:' .. book), flow, exact(value))
end

local function flow_key(book, flow) return base .. ':flow:' .. book .. ':' .. flow end

local function mark_idle(book, flow)
  call('ZADD', touch(base .. ':idle:' .. book), now + idle_after, flow)
  call('ZADD', touch(base .. ':since:' .. book), now, flow)
end

local function unmark_idle(book, flow)
  call('ZREM', base .. ':idle:' .. book, flow)
  call('ZREM', base .. ':since:' .. book, flow)
end

-- The flow's first offer, or nil.
local function head_of(book, flow) return call('ZRANGE', flow_key(book, flow), 0, 0)[1] end

-- Put the flow where its counter says.
local function move(book, flow, counter)
  local head = head_of(book, flow)
  if head then call('ZADD', touch(base .. ':wait:' .. book), exact(counter), head) end
  return head
end

-- Take an offer away from its book.
local function leave_book(offer, member)
  local wait = base .. ':wait:' .. offer.book
  call('ZREM', wait, member)
  local book = books[offer.book]
  if not (book and book.counts) then return end
  call('ZREM', flow_key(offer.book, offer.flow), member)
  local counter = counter_of(offer.book, offer.flow)
  if not move(offer.book, offer.flow, counter or offer.rank) then mark_idle(offer.book, offer.flow) end
end

-- Put an offer before its book.
local function stand(offer, member, idle)
  local wait = base .. ':wait:' .. offer.book
  local book = books[offer.book]
  if not book.counts then
    call('ZADD', touch(wait), exact(offer.rank), member)
    return
  end
  local key = flow_key(offer.book, offer.flow)
  local head = head_of(offer.book, offer.flow)
  local counter = counter_of(offer.book, offer.flow)
  local before = counter
  counter = counter or offer.rank
  if idle and not head then
    -- Back from idleness, in the eyes of the whole fleet: what it did not use
    -- while it was away is gone.
    counter = math.max(counter, book.v)
  end
  if counter ~= before then set_counter(offer.book, offer.flow, counter) end
  call('ZADD', touch(key), 0, member)
  if not head then
    unmark_idle(offer.book, offer.flow)
  elseif head < member then
    return -- not the flow's first
  else
    call('ZREM', wait, head)
  end
  call('ZADD', touch(wait), exact(counter), member)
end

-- Add delta to a flow's counter; one that was collected starts from what the
-- settled grant left.
local function settle(name, flow, delta, counter)
  local book = books[name]
  if not (book and book.counts) then return end
  local value = (counter_of(name, flow) or counter) + delta
  set_counter(name, flow, value)
  if not move(name, flow, value) then mark_idle(name, flow) end
end

-- Offers and mail. ----------------------------------------------------------

local function offer_of(ticket)
  local record = call('HGET', base .. ':offers', ticket)
  return record and read_offer(record)
end

local function save_offer(ticket, offer) call('HSET', touch(base .. ':offers'), ticket, write_offer(offer)) end

-- Take a standing offer away and forget it.
local function remove(ticket, offer)
  leave_book(offer, offer.score .. ticket)
  call('SREM', base .. ':own:' .. offer.owner, ticket)
  call('HDEL', base .. ':offers', ticket)
end

-- Put mail in a replica's box.
local function post(r, kind, ticket, offer, counter)
  r.sent = r.sent + 1
  r.dirty, r.woken = true, true
  local about_offer = kind ~= GRANTED
  if about_offer then call('SADD', touch(base .. ':told:' .. r.id), ticket) end
  local book = books[offer.book]
  call('RPUSH', touch(base .. ':mail:' .. r.id), join(FIELD, exact(r.sent), kind, ticket, book.priority, book.policy,
    offer.flow, exact(offer.charge), exact(counter or 0)))
  if kind == GRANTED or kind == GRANTED + TAKEN then r.unread = r.unread + 1 end
end

-- Forget a piece of mail that was read, or whose replica is gone.
local function forget(r, mail)
  local kind, ticket = mail[2], mail[3]
  if kind == GRANTED then return end
  call('SREM', base .. ':told:' .. r.id, ticket)
  local offer = offer_of(ticket)
  if offer and offer.granted and offer.owner == r.id then call('HDEL', base .. ':offers', ticket) end
end

-- Replicas. -----------------------------------------------------------------

-- Forget a replica: its offers, what it held, and the charges of grants it
-- never read.
local function drop(r)
  for _, record in ipairs(call('LRANGE', base .. ':mail:' .. r.id, 0, -1)) do
    local mail = read_mail(record)
    if mail[2] == GRANTED or mail[2] == GRANTED + TAKEN then
      settle(book_name(mail[4], mail[5]), mail[6], -tonumber(mail[7]), tonumber(mail[8]))
    end
    forget(r, mail)
  end
  for _, ticket in ipairs(call('SMEMBERS', base .. ':own:' .. r.id)) do
    local offer = offer_of(ticket)
    if offer and offer.owner == r.id and not offer.granted then remove(ticket, offer) end
  end
  call('DEL', base .. ':own:' .. r.id, base .. ':mail:' .. r.id, base .. ':told:' .. r.id)
  call('HDEL', base .. ':replicas', r.id)
  replicas[r.id] = nil
end

-- Whether every other replica believes this one dead.
local function stated_dead_by_all(dead)
  for id, other in pairs(replicas) do
    if id ~= dead then
      local says = false
      for _, d in ipairs(other.dead) do says = says or d == dead end
      if not says then return false end
    end
  end
  return true
end

local function held_by(r)
  local held = r.unread
  for _, b in ipairs(r.bands) do held = held + b.in_flight end
  return held
end

-- The fleet's totals, from what each replica stated.
local function totals()
  local t = { held = 0, queued = 0, bytes = 0, bands = {} }
  for _, r in pairs(replicas) do
    t.held = t.held + held_by(r)
    for _, b in ipairs(r.bands) do
      local band = t.bands[b.priority]
      if not band then
        band = { queued = 0, bytes = 0, in_flight = 0, limit = NO_OPINION }
        t.bands[b.priority] = band
      end
      t.queued, t.bytes = t.queued + b.queued, t.bytes + b.bytes
      band.queued, band.bytes = band.queued + b.queued, band.bytes + b.bytes
      band.in_flight = band.in_flight + b.in_flight
      if b.limit ~= NO_OPINION and (band.limit == NO_OPINION or b.limit < band.limit) then band.limit = b.limit end
    end
  end
  return t
end

-- The turn. -----------------------------------------------------------------

load()
if meta.generation == 0 then begin() end
for _, r in pairs(replicas) do
  if r.lease <= now then drop(r) end
end

local function answer(status, r)
  call('HSET', touch(base), 'generation', exact(meta.generation), 'recovering', meta.recovering and '1' or '0',
    'recovered', exact(meta.recovered), 'expected', meta.expected)
  local reply = { status, exact(meta.generation), exact(now), meta.recovering and 1 or 0, 0, 0, 0, count_replicas(), {}, {} }
  if r then
    local t = totals()
    reply[5], reply[6], reply[7] = t.held, t.queued, t.bytes
    for _, b in ipairs(r.bands) do
      local band = t.bands[b.priority]
      table.insert(reply[9], { b.priority, exact(books[b.book] and books[b.book].v or 0), band.queued, band.bytes, band.in_flight })
    end
    reply[10] = call('LRANGE', base .. ':mail:' .. r.id, 0, -1)
  end
  for key in pairs(touched) do call('PEXPIRE', key, ttl) end
  return reply
end

local me = replicas[my_id]
if me and me.incarnation > incarnation then return redis.error_reply('SUPERSEDED a later process has taken the id') end
if me and me.incarnation == incarnation then
  if me.last < answered then
    begin() -- the store was rolled back: it forgot a turn that it answered
    me = nil
  elseif number <= me.last then
    return answer(OK, me) -- late or repeated: the truth has moved on
  end
end
if registering and alone and generation == meta.generation then
  begin()
  me = nil
end
if registering then
  local applied = me and me.incarnation == incarnation and me.batch or 0
  if me then drop(me) end
  me = { id = my_id, incarnation = incarnation, sent = read_upto, unread = 0, batch = applied, bands = {}, dead = {} }
  replicas[my_id] = me
elseif not (me and me.incarnation == incarnation and generation == meta.generation) then
  return answer(REGISTER, nil)
end

-- The lease, and who is dead.
me.last, me.lease, me.dirty, me.dead = number, now + lease, true, {}
for _ = 1, next_number() do table.insert(me.dead, next_arg()) end
meta.expected = math.max(meta.expected, members)
for _, id in ipairs(me.dead) do
  if replicas[id] and id ~= my_id and stated_dead_by_all(id) then drop(replicas[id]) end
end

-- Mail that was read is forgotten, and what is unread counted anew.
me.unread = 0
local read = 0
for _, record in ipairs(call('LRANGE', base .. ':mail:' .. my_id, 0, -1)) do
  local mail = read_mail(record)
  if mail[1] <= read_upto then
    forget(me, mail)
    read = read + 1
  elseif mail[2] == GRANTED or mail[2] == GRANTED + TAKEN then
    me.unread = me.unread + 1
  end
end
if read > 0 then call('LTRIM', base .. ':mail:' .. my_id, read, -1) end

-- What the replica states of itself; whatever had drifted is right again.
me.bands = {}
local my_book = {}
for i = 1, next_number() do
  local priority, policy, counts, lifts = next_number(), next_arg(), next_flag(), next_flag()
  local name = open_book(priority, policy, counts, lifts)
  me.bands[i] = {
    priority = priority, book = name, limit = next_number(), in_flight = next_number(),
    queued = next_number(), bytes = next_number(),
  }
  local v = next_number()
  if registering and v > books[name].v then
    books[name].v = v
    save_book(name)
  end
  my_book[priority] = name
end

-- Settlements, once a batch.
local settles = batch > me.batch
me.batch = math.max(me.batch, batch)
for _ = 1, next_number() do
  local flow, priority, policy, delta, counter = next_arg(), next_number(), next_arg(), next_number(), next_number()
  if settles then settle(book_name(priority, policy), flow, delta, counter) end
end

-- Counters that a registering replica was last told.
for _ = 1, next_number() do
  local flow, priority, value = next_arg(), next_number(), next_number()
  local name = my_book[priority]
  if name and books[name].counts then
    local counter = counter_of(name, flow)
    if not counter or counter < value then
      set_counter(name, flow, value)
      if not move(name, flow, value) then mark_idle(name, flow) end
    end
  end
end

-- Withdrawals.
for _ = 1, next_number() do
  local ticket = next_arg()
  local offer = offer_of(ticket)
  if offer and offer.owner == my_id and not offer.granted then
    remove(ticket, offer)
  else
    call('SREM', base .. ':told:' .. my_id, ticket)
  end
end

-- Offers.
local restated = {}
for _ = 1, next_number() do
  local ticket, flow, priority = next_arg(), next_arg(), next_number()
  local rank, charge, score, idle = next_number(), next_number(), next_arg(), next_flag()
  local offer = offer_of(ticket)
  restated[ticket] = true
  if offer and offer.granted then
    if offer.owner ~= my_id then post(me, TAKEN, ticket, offer, counter_of(offer.book, offer.flow)) end
  elseif my_book[priority] then
    if offer then
      if offer.owner == my_id then
        idle = false
      elseif replicas[offer.owner] then
        post(replicas[offer.owner], DROPPED, ticket, offer)
      end
      remove(ticket, offer)
    end
    call('SREM', base .. ':told:' .. my_id, ticket) -- counted once, as standing again
    offer = { book = my_book[priority], flow = flow, rank = rank, charge = charge, score = score, owner = my_id, granted = false }
    save_offer(ticket, offer)
    call('SADD', touch(base .. ':own:' .. my_id), ticket)
    stand(offer, score .. ticket, idle)
  end
end
if registering or resyncing then
  for _, ticket in ipairs(call('SMEMBERS', base .. ':own:' .. my_id)) do
    local offer = not restated[ticket] and offer_of(ticket)
    if offer then
      remove(ticket, offer)
    elseif not restated[ticket] then
      call('SREM', base .. ':own:' .. my_id, ticket)
    end
  end
end

local status = OK
if call('SCARD', base .. ':own:' .. my_id) + call('SCARD', base .. ':told:' .. my_id) ~= stated_standing then status = RESYNC end

-- Grant what capacity there is: the highest band first, in a band the lowest
-- rank, and no band below one that still waits.
local fleet = totals()

-- Whether anything waits in the band.
local function waits(band)
  for i = 2, #band do
    if call('EXISTS', base .. ':wait:' .. band[i]) == 1 then return true end
  end
  return false
end

-- The band's next offer, from its books in turn; there is one.
local function first_of(band)
  while true do
    local name = band[2 + band[1] % (#band - 1)]
    local member = call('ZRANGE', base .. ':wait:' .. name, 0, 0)[1]
    if member then return name, member end
    band[1] = band[1] + 1
  end
end

local function serve(band, name, member)
  local ticket = string.sub(member, 17)
  local offer = offer_of(ticket)
  local owner = offer and replicas[offer.owner]
  if not owner or offer.granted then
    call('ZREM', base .. ':wait:' .. name, member) -- left over from what was deleted by hand
    return false
  end
  call('SREM', base .. ':own:' .. offer.owner, ticket)
  local ingress = replicas[string.sub(ticket, 18)]
  offer.granted = true
  save_offer(ticket, offer)
  if not ingress then
    leave_book(offer, member)
    post(owner, DROPPED, ticket, offer)
    return false
  end
  band[1] = band[1] + 1
  local book = books[name]
  local rank, counter = offer.rank, nil
  if book.counts then
    rank = counter_of(name, offer.flow) or offer.rank
    counter = rank + offer.charge
    set_counter(name, offer.flow, counter)
  end
  if rank > book.v or book.v == 0 then
    book.v = math.max(book.v, rank)
    book.moved = true
  end
  leave_book(offer, member)
  if ingress.id == owner.id then
    post(ingress, GRANTED + TAKEN, ticket, offer, counter)
  else
    post(ingress, GRANTED, ticket, offer, counter)
    post(owner, TAKEN, ticket, offer, counter)
  end
  return true
end

local function grant()
  if meta.recovering then
    if count_replicas() < meta.expected and now < meta.recovered then return end
    meta.recovering = false
  end
  local priorities = {}
  for key in pairs(bands) do table.insert(priorities, tonumber(key)) end
  table.sort(priorities, function(a, b) return a > b end)
  for _, priority in ipairs(priorities) do
    local band, stated = bands[tostring(priority)], fleet.bands[priority]
    local next_before = band[1]
    while stated and fleet.held < stated.limit and waits(band) do
      if serve(band, first_of(band)) then fleet.held = fleet.held + 1 end
    end
    if band[1] ~= next_before then call('HSET', touch(base .. ':bands'), tostring(priority), write_band(band)) end
    if waits(band) then return end
  end
end
if not leaving then grant() end

-- Forget a few counters that have been idle long enough: what the lift implies,
-- and later all; then books that nobody states.
local stated_books = {}
for _, r in pairs(replicas) do
  for _, b in ipairs(r.bands) do stated_books[b.book] = true end
end
for name, book in pairs(books) do
  if book.moved then
    book.moved = nil
    save_book(name)
  end
  local due = call('ZRANGEBYSCORE', base .. ':idle:' .. name, '-inf', now, 'LIMIT', 0, 8)
  for _, flow in ipairs(due) do
    local since = tonumber(call('ZSCORE', base .. ':since:' .. name, flow) or 0)
    local counter = counter_of(name, flow)
    if now - since >= keep_for or book.lifts and (counter or 0) <= book.v then
      call('HDEL', base .. ':count:' .. name, flow)
      unmark_idle(name, flow)
    else
      call('ZADD', base .. ':idle:' .. name, since + keep_for, flow)
    end
  end
  if not stated_books[name] and call('EXISTS', base .. ':count:' .. name, base .. ':wait:' .. name) == 0 then
    books[name] = nil
    call('HDEL', base .. ':books', name)
    local key = tostring(book.priority)
    local kept = { 0 }
    for i = 2, #bands[key] do
      if bands[key][i] ~= name then table.insert(kept, bands[key][i]) end
    end
    if #kept > 1 then
      bands[key] = kept
      call('HSET', touch(base .. ':bands'), key, write_band(kept))
    else
      bands[key] = nil
      call('HDEL', base .. ':bands', key)
    end
  else
    for _, kind in ipairs({ ':count:', ':wait:', ':idle:', ':since:' }) do touch(base .. kind .. name) end
  end
end

-- Wake the others that got mail, and write everything back.
for id, r in pairs(replicas) do
  if r.woken and id ~= my_id then call(publish, base .. ':wake:' .. id, '') end
  if r.dirty then save_replica(r) end
end
for _, key in ipairs({ ':replicas', ':books', ':bands', ':offers', ':own:' .. my_id, ':mail:' .. my_id, ':told:' .. my_id }) do
  touch(base .. key)
end
local reply = answer(status, me)
if leaving then drop(me) end
return reply
