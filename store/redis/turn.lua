-- One turn of a replica with the pool's ledger; see store.Ledger for the
-- contract and store/memory for the same in Go.
--
-- KEYS[1] is the pool's base key, "<prefix>{<pool>}". All other keys start with
-- it and share its hash tag, so that a pool lives on one cluster slot:
--
--   base               hash    generation, recovering, recovered, expected, and
--                              the fleet's totals
--   base:leases        zset    replicas by when their leases end
--   base:replicas      hash    id -> record of every replica with a lease
--   base:books         hash    book -> record: V, the policy's account
--   base:bands         hash    priority -> record: the book whose turn it is, books
--   base:offers        hash    ticket -> record; granted ones until their owner
--                              has read so
--   base:own:ID        set     the tickets that stand in the replica's name
--   base:mail:ID       list    records of mail the replica has not read
--   base:uncounted:ID  hash    ticket -> the last of that mail which does not count
--                              the ticket as standing, because it was withdrawn
--   base:wait:BOOK     zset    the first offer of every waiting flow by its rank,
--                              or every offer where service is not counted
--   base:limits        hash    priority:flow -> account of a flow with a limit of its own
--   base:limited:ID    hash    priority:flow -> its requests in flight at the replica
--   base:load          zset    endpoints by their requests in flight in the fleet, with
--                              when one was last suggested as the fraction, and
--   base:loads:ID      hash    endpoint -> those of the replica; unread grants count
--                              where they were suggested to go
--   base:tokens        hash    endpoint -> what its requests are expected to cost, and
--   base:tokens:ID     hash    endpoint -> the same of the replica; where replicas say so
--   base:flow:BOOK:F   zset    a flow's offers in their order
--   base:count:BOOK    hash    flow -> counter
--   base:idle:BOOK     zset    flows without offers by when they became idle, and
--   base:debts:BOOK    zset    those of them whose counter was above V when looked at
--
-- A zset member is the offer's score and ticket in fixed-width hexadecimal, so
-- that members of equal score sort as the ledger orders them.
--
-- A record is its fields joined by a separator, which the caller keeps out of
-- ids, flows and policies by escaping. ARGV is the statement, flat: what it holds
-- is read in order by next_arg.
--
-- A turn reads and writes only what it changes. The fleet's totals are kept, with
-- a checksum, and added up anew once a second, so that whatever drifts is right
-- again.
--
-- Keys that would come and go with their last element hold a sentinel, so that
-- they keep their TTLs.

local base = KEYS[1]
local GRANTED, TAKEN, DROPPED, AT_LIMIT = 1, 2, 4, 8
local OK, REGISTER, RESYNC = 0, 1, 2
local NO_OPINION = -1
local RECOUNT_AFTER = 1000000 -- microseconds, as all times here
local PUBLISHED = 1000        -- letters in a wake-up at most; the rest waits in the box
local SENTINEL = '\31'        -- no name has a control character

local position = 0
local function next_arg()
  position = position + 1
  return ARGV[position]
end
local function next_number() return tonumber(next_arg()) end
local function next_flag() return next_arg() == '1' end

-- The ledger's settings and the statement's head.
local ttl        = next_arg()         -- of every key, in milliseconds
local publish    = next_arg()         -- PUBLISH, or SPUBLISH on a cluster
local lease      = next_number()
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

local call = redis.call
local concat, insert = table.concat, table.insert

-- Numbers as text, exactly. Most are small integers, which need no formatting.
local function exact(x)
  if x % 1 == 0 and x < 1e14 and x > -1e14 then return tostring(x) end
  return string.format('%.17g', x)
end

if now == '' then
  local time = call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
else
  now = tonumber(now)
end

-- Every key gets a TTL, so that an abandoned pool vanishes: when it is made, and
-- again once a second with everything that a turn of this replica uses.
local function expire(key) call('PEXPIRE', key, ttl) end

-- Records. -------------------------------------------------------------------

local FIELD, ITEM, PART = '\31', '\30', '\29'

local function split(s, separator)
  local parts, n = {}, 0
  if s == '' then return parts end
  for part in string.gmatch(s .. separator, '([^' .. separator .. ']*)' .. separator) do
    n = n + 1
    parts[n] = part
  end
  return parts
end
local function flag(set) return set and '1' or '0' end

-- An offer's rank and charge stay text, as they came: they are copied more often
-- than reckoned with. Whether it was granted is the record's last character.
local function write_offer(o)
  return concat({ o.book, o.flow, o.rank, o.charge, o.score, o.owner, o.tokens, flag(o.granted) }, FIELD)
end
local offer_fields = '^' .. string.rep('([^\31]*)\31', 7) .. '([^\31]*)$'
local function read_offer(s)
  local book, flow, rank, charge, score, owner, tokens, granted = string.match(s, offer_fields)
  return {
    book = book, flow = flow, rank = rank, charge = charge, score = score, owner = owner, tokens = tokens,
    granted = granted == '1', record = s,
  }
end

local function write_bands(bands)
  local items = {}
  for i, b in ipairs(bands) do
    items[i] = b.record or
      concat({ b.priority, b.book or '', exact(b.limit), exact(b.in_flight), exact(b.queued), exact(b.bytes) }, PART)
  end
  return concat(items, ITEM)
end
local function read_bands(s, keep)
  local bands = {}
  for i, item in ipairs(split(s, ITEM)) do
    local b = split(item, PART)
    bands[i] = {
      priority = tonumber(b[1]), book = b[2], limit = tonumber(b[3]), in_flight = tonumber(b[4]),
      queued = tonumber(b[5]), bytes = tonumber(b[6]), record = keep and item,
    }
  end
  return bands
end

local function write_replica(r)
  return concat({ r.id, r.incarnation, exact(r.last), exact(r.batch), exact(r.sent), exact(r.read), exact(r.unread),
    concat(r.dead, ITEM), write_bands(r.bands), exact(r.registered), exact(r.revoking), r.sheddable }, FIELD)
end
local function read_replica(s)
  local f = split(s, FIELD)
  return {
    id = f[1], incarnation = f[2], last = tonumber(f[3]), batch = tonumber(f[4]), sent = tonumber(f[5]), read = tonumber(f[6]),
    unread = tonumber(f[7]), dead = split(f[8], ITEM), bands = read_bands(f[9], true),
    registered = tonumber(f[10]) or 0, revoking = tonumber(f[11]) or 0, sheddable = f[12] or '',
  }
end

-- Service that is to count half after a while is not decayed: what is served later
-- counts the more. A book's scale says how much, in steps of a sixteenth of its
-- half-life; replicas never see it. See store/memory/decay.go.
local FRACTION = { 1, 1.0442737824274138, 1.0905077326652577, 1.1387886347566916, 1.189207115002721, 1.241857812073484,
  1.2968395546510096, 1.3542555469368927, 1.4142135623730951, 1.4768261459394993, 1.5422108254079407, 1.6104903319492543,
  1.681792830507429, 1.7562521603732995, 1.8340080864093424, 1.9152065613971474 }
local STEPS, REBASE_AFTER = 16, 4096

local function rescale(b)
  b.scale = 1
  if b.half_life == 0 then return end
  local step = math.floor(now / (b.half_life / STEPS))
  if b.base == 0 then b.base = step end
  b.steps = math.max(0, step - b.base)
  b.scale = math.ldexp(FRACTION[b.steps % STEPS + 1], math.floor(b.steps / STEPS))
end

local function write_book(b)
  return concat({ exact(b.v), flag(b.counts), flag(b.lifts), b.priority, b.policy, exact(b.half_life), exact(b.base) }, FIELD)
end
local function read_book(s)
  local f = split(s, FIELD)
  local b = {
    v = tonumber(f[1]), counts = f[2] == '1', lifts = f[3] == '1', priority = tonumber(f[4]), policy = f[5],
    half_life = tonumber(f[6]) or 0, base = tonumber(f[7]) or 0,
  }
  rescale(b)
  return b
end

-- A band's record is the number of grants so far, for taking turns, and its books.
local function write_band(b) return exact(b.turn) .. FIELD .. concat(b.books, FIELD) end
local function read_band(s)
  local f = split(s, FIELD)
  return { turn = tonumber(table.remove(f, 1)), books = f }
end

local function read_mail(s)
  local m = split(s, FIELD)
  m[1], m[2] = tonumber(m[1]), tonumber(m[2])
  return m
end
local function is_grant(kind) return kind == GRANTED or kind == GRANTED + TAKEN end

-- State, loaded when needed and written back where it changed. ---------------

local function load_hash(key, read)
  local flat, loaded = call('HGETALL', key), {}
  for i = 1, #flat, 2 do loaded[flat[i]] = read(flat[i + 1]) end
  return loaded
end

local function checksum(t) return t.held + 3 * t.queued + 5 * t.bytes + 7 * t.members + 1 end

local m = call('HMGET', base, 'generation', 'recovering', 'recovered', 'expected', 'counted', 'totals', 'bands')
local meta = {
  generation = tonumber(m[1] or 0), recovering = m[2] == '1', recovered = tonumber(m[3] or 0), expected = tonumber(m[4] or 0),
}
local fleet = { counted = tonumber(m[5] or 0), members = 0, held = 0, queued = 0, bytes = 0, bands = {} }
if m[6] then
  local t = split(m[6], FIELD)
  fleet.held, fleet.queued, fleet.bytes, fleet.members = tonumber(t[1]) or 0, tonumber(t[2]) or 0, tonumber(t[3]) or 0, tonumber(t[4]) or 0
  for _, b in ipairs(read_bands(m[7] or '')) do fleet.bands[b.priority] = b end
  if tonumber(t[5]) ~= checksum(fleet) then fleet.counted = 0 end
else
  fleet.counted = 0
end
local recount = now - fleet.counted >= RECOUNT_AFTER or now < fleet.counted

local books = load_hash(base .. ':books', read_book)
local bands = load_hash(base .. ':bands', read_band)
local replicas = {} -- those looked at so far; false where there is none
local counters = {} -- those read or written so far, by book and flow; likewise

local function replica(id)
  local r = replicas[id]
  if r == nil then
    local record = call('HGET', base .. ':replicas', id)
    r = record and read_replica(record) or false
    replicas[id] = r
  end
  return r
end

local function every_replica()
  for _, id in ipairs(call('HKEYS', base .. ':replicas')) do replica(id) end
  return replicas
end

local function held_by(r)
  local held = r.unread
  for _, b in ipairs(r.bands) do held = held + b.in_flight end
  return held
end

-- Add what a replica states to the fleet's totals, or take it off.
local function count_in(r, sign)
  fleet.held = fleet.held + sign * held_by(r)
  for _, b in ipairs(r.bands) do
    local band = fleet.bands[b.priority]
    if not band then
      band = { priority = b.priority, limit = NO_OPINION, in_flight = 0, queued = 0, bytes = 0 }
      fleet.bands[b.priority] = band
    end
    fleet.queued, fleet.bytes = fleet.queued + sign * b.queued, fleet.bytes + sign * b.bytes
    band.queued, band.bytes = band.queued + sign * b.queued, band.bytes + sign * b.bytes
    band.in_flight = band.in_flight + sign * b.in_flight
  end
end

-- Add the fleet's totals up anew. The least limit that a live replica states for
-- a band holds.
local function count_fleet()
  fleet = { counted = now, members = 0, held = 0, queued = 0, bytes = 0, bands = {} }
  for id, r in pairs(every_replica()) do
    if r then
      fleet.members = fleet.members + 1
      count_in(r, 1)
      for _, b in ipairs(r.bands) do
        local band = fleet.bands[b.priority]
        if b.limit ~= NO_OPINION and (band.limit == NO_OPINION or b.limit < band.limit) then band.limit = b.limit end
      end
      call('ZADD', base .. ':leases', 'NX', now + lease, id) -- heals a lease that was lost
    end
  end
end

-- Books: flows, counters, offers. ---------------------------------------------

local function book_name(priority, policy) return priority .. ':' .. #policy .. ':' .. policy end

local function save_book(name) call('HSET', base .. ':books', name, write_book(books[name])) end
local function save_band(key) call('HSET', base .. ':bands', key, write_band(bands[key])) end

-- Put the sentinels into a book's keys.
local function hold(name)
  call('ZADD', base .. ':wait:' .. name, '+inf', SENTINEL)
  call('ZADD', base .. ':idle:' .. name, '+inf', SENTINEL)
  call('ZADD', base .. ':debts:' .. name, '+inf', SENTINEL)
  call('HSET', base .. ':count:' .. name, SENTINEL, 0)
end

-- The book of that priority and policy, made if need be.
local function open_book(priority, policy, counts, lifts, half_life)
  local name = book_name(priority, policy)
  if not books[name] then
    books[name] = { v = 0, counts = counts, lifts = lifts, priority = priority, policy = policy, half_life = half_life, base = 0 }
    rescale(books[name])
    save_book(name)
    hold(name)
    local key = tostring(priority)
    bands[key] = bands[key] or { turn = 0, books = {} }
    insert(bands[key].books, name)
    save_band(key)
    recount = true
  end
  return name
end

local function counter_of(book, flow)
  local key = book .. FIELD .. flow
  local counter = counters[key]
  if counter == nil then
    local c = call('HGET', base .. ':count:' .. book, flow)
    counter = c and tonumber(c) or false
    counters[key] = counter
  end
  return counter or nil
end

local function set_counter(book, flow, value)
  counters[book .. FIELD .. flow] = value
  call('HSET', base .. ':count:' .. book, flow, exact(value))
end

local function flow_key(book, flow) return base .. ':flow:' .. book .. ':' .. flow end

local function mark_idle(book, flow) call('ZADD', base .. ':idle:' .. book, now, flow) end

local function unmark_idle(book, flow)
  if call('ZREM', base .. ':idle:' .. book, flow) == 0 then call('ZREM', base .. ':debts:' .. book, flow) end
end

-- The flow's first offer, or nil.
local function head_of(book, flow) return call('ZRANGE', flow_key(book, flow), 0, 0)[1] end

-- Put the flow where its counter says; false if it has no offers.
local function move(book, flow, counter)
  local head = head_of(book, flow)
  if not head then return false end
  call('ZADD', base .. ':wait:' .. book, exact(counter), head)
  return true
end

-- Bring a book's counters back once its scale has grown large.
local function rebase(name, book)
  local back = 1 / book.scale
  local counts = call('HGETALL', base .. ':count:' .. name)
  for i = 1, #counts, 2 do
    if counts[i] ~= SENTINEL then
      local value = tonumber(counts[i + 1]) * back
      set_counter(name, counts[i], value)
      move(name, counts[i], value)
    end
  end
  book.v, book.base = book.v * back, book.base + book.steps
  rescale(book)
  save_book(name)
end
for name, book in pairs(books) do
  if book.half_life > 0 and book.steps >= REBASE_AFTER then rebase(name, book) end
end

-- Take an offer away from its book.
local function leave_book(offer, member)
  call('ZREM', base .. ':wait:' .. offer.book, member)
  local book = books[offer.book]
  if not (book and book.counts) then return end
  call('ZREM', flow_key(offer.book, offer.flow), member)
  local counter = counter_of(offer.book, offer.flow) or tonumber(offer.rank) * book.scale
  if not move(offer.book, offer.flow, counter) then mark_idle(offer.book, offer.flow) end
end

-- Put an offer before its book.
local function stand(offer, member, idle)
  local wait = base .. ':wait:' .. offer.book
  local book = books[offer.book]
  if not book.counts then
    call('ZADD', wait, offer.rank, member)
    return
  end
  local key = flow_key(offer.book, offer.flow)
  local head = head_of(offer.book, offer.flow)
  local before = counter_of(offer.book, offer.flow)
  local counter = before or tonumber(offer.rank) * book.scale
  if idle and not head then
    -- Back from idleness, in the eyes of the whole fleet: what it did not use
    -- while it was away is gone.
    counter = math.max(counter, book.v)
  end
  if counter ~= before then set_counter(offer.book, offer.flow, counter) end
  call('ZADD', key, 0, member)
  if not head or resyncing then expire(key) end
  if not head then
    if before then unmark_idle(offer.book, offer.flow) end
  elseif head < member then
    return -- not the flow's first
  else
    call('ZREM', wait, head)
  end
  call('ZADD', wait, exact(counter), member)
end

-- Add delta to a flow's counter; one that was collected starts from what the
-- settled grant left.
local function settle(name, flow, delta, counter)
  local book = books[name]
  if not (book and book.counts) then return end
  local value = (counter_of(name, flow) or counter * book.scale) + delta * book.scale
  set_counter(name, flow, value)
  if not move(name, flow, value) then
    unmark_idle(name, flow)
    mark_idle(name, flow)
  end
end

-- Offers and mail. -------------------------------------------------------------

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

-- Flows with limits of their own. --------------------------------------------------

local limits = {} -- those looked at so far; false where there is none
local any_limits  -- whether there are any, once that was looked at

-- The account of a flow with a limit of its own, or nil: what may be in flight and
-- is, unread grants included; tokens a minute and what is left of them.
local function limit_of(id)
  local m = limits[id]
  if any_limits == nil then any_limits = call('EXISTS', base .. ':limits') == 1 end
  if m == nil and any_limits then
    local record = call('HGET', base .. ':limits', id)
    m = false
    if record then
      local f = split(record, FIELD)
      m = {
        max = tonumber(f[1]), held = tonumber(f[2]), per_minute = tonumber(f[3]), level = tonumber(f[4]), at = tonumber(f[5]),
        seen = tonumber(f[6]),
      }
    end
    limits[id] = m
  end
  return m or nil
end

-- How many tokens are left; level is what was left at a time.
local function left_of(m) return math.min(m.per_minute, m.level + math.max(0, now - m.at) * (m.per_minute / 60e6)) end

local function spend(m, tokens) m.level, m.at, m.moved = left_of(m) - tokens, now, true end

local function is_open(m) return (m.max == 0 or m.held < m.max) and (m.per_minute == 0 or left_of(m) > 0) end

local function save_limits()
  for id, m in pairs(limits) do
    if m and m.moved then
      call('HSET', base .. ':limits', id, concat({ m.max, exact(m.held), exact(m.per_minute), exact(m.level), exact(m.at), exact(m.seen) }, FIELD))
      m.moved = false
    end
  end
end

-- Count a flow's requests at a replica anew.
local function count_limited(r, id, count)
  local before = tonumber(call('HGET', base .. ':limited:' .. r.id, id) or 0)
  local m = limit_of(id)
  if m then m.held, m.moved = m.held + count - before, true end
  if count == 0 then
    call('HDEL', base .. ':limited:' .. r.id, id)
  elseif count ~= before then
    call('HSET', base .. ':limited:' .. r.id, id, exact(count))
    if before == 0 then expire(base .. ':limited:' .. r.id) end
  end
end

local function drop_limited(r)
  for id in pairs(load_hash(base .. ':limited:' .. r.id, tonumber)) do
    if id ~= SENTINEL then count_limited(r, id, 0) end
  end
end

-- Loads of endpoints. -------------------------------------------------------------

local load_key = base .. ':load'
local function loads_key(id) return base .. ':loads:' .. id end

-- Set a replica's load at an endpoint, or add to it.
local function count_load(id, endpoint, count)
  local key = loads_key(id)
  local before = tonumber(call('HGET', key, endpoint) or nil)
  if before == count then return end
  call('HSET', key, endpoint, exact(count))
  call('ZINCRBY', load_key, exact(count - (before or 0)), endpoint)
  if not before then
    expire(key)
    expire(load_key)
  end
end

local tokens_key = base .. ':tokens'
local any_tokens -- whether there are any, once that was looked at

-- Set the tokens that a replica's requests at an endpoint are expected to cost.
local function count_tokens(id, endpoint, count)
  if any_tokens == nil then any_tokens = call('EXISTS', tokens_key) == 1 end
  if count == 0 and not any_tokens then return end
  local key = tokens_key .. ':' .. id
  local before = tonumber(call('HGET', key, endpoint) or 0)
  if before == count then return end
  any_tokens = true
  if count == 0 then call('HDEL', key, endpoint) else call('HSET', key, endpoint, exact(count)) end
  if call('HINCRBY', tokens_key, endpoint, exact(count - before)) == 0 then call('HDEL', tokens_key, endpoint) end
  expire(key)
  expire(tokens_key)
end

-- Take an endpoint off a replica's list; one that no replica lists is gone.
local function forget_load(id, endpoint)
  local count = call('HGET', loads_key(id), endpoint)
  if not count then return end
  call('HDEL', loads_key(id), endpoint)
  count_tokens(id, endpoint, 0)
  for other, r in pairs(every_replica()) do
    if r and other ~= id and call('HEXISTS', loads_key(other), endpoint) == 1 then
      call('ZINCRBY', load_key, exact(-tonumber(count)), endpoint)
      return
    end
  end
  call('ZREM', load_key, endpoint)
end

local function drop_loads(id)
  for _, endpoint in ipairs(call('HKEYS', loads_key(id))) do forget_load(id, endpoint) end
end

-- Add the loads up anew.
local function count_loads()
  local turns = call('ZRANGE', load_key, 0, -1, 'WITHSCORES')
  call('DEL', load_key, tokens_key)
  for id, r in pairs(every_replica()) do
    local tokens = r and call('HGETALL', tokens_key .. ':' .. id) or {}
    for i = 1, #tokens, 2 do call('HINCRBY', tokens_key, tokens[i], tokens[i + 1]) end
    local loads = r and call('HGETALL', loads_key(id)) or {}
    for i = 1, #loads, 2 do call('ZINCRBY', load_key, loads[i + 1], loads[i]) end
  end
  for i = 1, #turns, 2 do
    if call('ZSCORE', load_key, turns[i]) then call('ZINCRBY', load_key, exact(tonumber(turns[i + 1]) % 1), turns[i]) end
  end
  expire(load_key)
  expire(loads_key(my_id))
  expire(tokens_key)
  expire(tokens_key .. ':' .. my_id)
end

-- The endpoint with the least load, of equals the one that was suggested longest
-- ago, and that load. The grant counts there.
local TURNS = 1073741824 -- microseconds that a fraction of a request stands for at most
local function suggest(id)
  local least = call('ZRANGE', load_key, 0, 0, 'WITHSCORES')
  if not least[1] then return '', '0' end
  local load = math.floor(tonumber(least[2]))
  call('ZADD', load_key, exact(load + 1 + now % TURNS / TURNS), least[1])
  if call('HINCRBY', loads_key(id), least[1], 1) == 1 then expire(loads_key(id)) end
  return least[1], exact(load)
end

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

-- Begin a generation, in recovery: whatever the replicas stated is forgotten, and
-- what the flows were served stays on the books.
local function begin()
  for _, r in pairs(every_replica()) do
    if r then drop(r) end
  end
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

-- The turn. ---------------------------------------------------------------------

if meta.generation == 0 then begin() end
for _, id in ipairs(call('ZRANGEBYSCORE', base .. ':leases', '-inf', now)) do
  if replica(id) then drop(replica(id)) else call('ZREM', base .. ':leases', id) end
end

local function answer(status, r)
  save_limits()
  local items = {}
  for _, b in pairs(fleet.bands) do insert(items, b) end
  call('HSET', base, 'generation', exact(meta.generation), 'recovering', flag(meta.recovering), 'recovered', exact(meta.recovered),
    'expected', meta.expected, 'counted', exact(fleet.counted),
    'totals', concat({ exact(fleet.held), exact(fleet.queued), exact(fleet.bytes), fleet.members, exact(checksum(fleet)) }, FIELD), 'bands', write_bands(items))
  local reply = { status, exact(meta.generation), exact(now), meta.recovering and 1 or 0, 0, 0, 0, fleet.members, {}, {}, {}, {}, {}, {} }
  if r then
    reply[5], reply[6], reply[7] = fleet.held, fleet.queued, fleet.bytes
    for i, b in ipairs(r.bands) do
      local band = fleet.bands[b.priority]
      reply[9][i] = { b.priority, exact(books[b.book] and books[b.book].v / books[b.book].scale or 0), band.queued, band.bytes, band.in_flight }
    end
    if r.sent > r.read then reply[10] = call('LRANGE', base .. ':mail:' .. r.id, 0, -1) end
  end
  return reply
end

local me = replica(my_id)
if me and me.incarnation > incarnation then return redis.error_reply('SUPERSEDED a later process has taken the id') end
if me and me.incarnation == incarnation then
  if me.last < answered then
    begin() -- the store was rolled back: it forgot a turn that it answered
    me = nil
  elseif number <= me.last then
    if recount then count_fleet() end
    return answer(OK, me) -- late or repeated: the truth has moved on
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
    call('DEL', base .. ':own:' .. my_id, base .. ':mail:' .. my_id, base .. ':uncounted:' .. my_id, base .. ':limited:' .. my_id)
  end
  me = { id = my_id, incarnation = incarnation, registered = number, sent = read_upto, read = read_upto, unread = 0, batch = applied, bands = {}, dead = {},
    revoking = 0, sheddable = '' }
  replicas[my_id] = me
  recount = true
elseif not (me and me.incarnation == incarnation and generation == meta.generation) then
  if generation == meta.generation and call('HLEN', base .. ':replicas') == 0 then
    begin() -- everyone was forgotten, and what they hold with them
  end
  if recount then count_fleet() end
  return answer(REGISTER, nil)
end

-- Unread mail that is not there was lost, and grants with it that the replica may
-- have read from a wake-up: it must say anew what it has before they stop counting.
if not registering and me.sent > me.read and call('LLEN', base .. ':mail:' .. my_id) ~= me.sent - me.read then
  if recount then count_fleet() end
  return answer(REGISTER, nil)
end

-- The lease, and who is dead.
me.last, me.dirty, me.dead = number, true, {}
call('ZADD', base .. ':leases', now + lease, my_id)
if registering then call('HSET', base .. ':replicas', my_id, write_replica(me)) end
local evicts = next_flag()
me.revoking, me.sheddable = next_number(), next_arg()
for _ = 1, next_number() do insert(me.dead, next_arg()) end
meta.expected = math.max(meta.expected, members)
for _, id in ipairs(me.dead) do
  -- Whoever lives says something every third of its lease: gossip may be cut
  -- where the ledger is not.
  local lease_end = id ~= my_id and tonumber(call('ZSCORE', base .. ':leases', id) or nil)
  if lease_end and lease_end - now <= lease / 2 and replica(id) and stated_dead_by_all(id) then drop(replica(id)) end
end

count_in(me, -1)

-- Mail that was read is forgotten. What is unread is counted anew: the grants in
-- it, and the offers it is about that the replica still counts as standing.
local my_mail = base .. ':mail:' .. my_id
local uncounted_key = base .. ':uncounted:' .. my_id
local read, told, unread_about = 0, 0, {}
local suggested = {} -- unread grants by endpoint
local counts_upto
me.unread = 0
for _, record in ipairs(me.sent > me.read and call('LRANGE', my_mail, 0, -1) or {}) do
  local mail = read_mail(record)
  if mail[1] <= read_upto then
    forget(me, mail)
    read = read + 1
  else
    if is_grant(mail[2]) then
      me.unread = me.unread + 1
      suggested[mail[9]] = (suggested[mail[9]] or 0) + 1
    end
    if mail[2] ~= GRANTED then
      counts_upto = counts_upto or load_hash(uncounted_key, tonumber)
      if mail[1] > (counts_upto[mail[3]] or 0) then
        told = told + 1
        unread_about[mail[3]] = (unread_about[mail[3]] or 0) + 1
      end
    end
  end
end
me.read = math.min(read_upto, me.sent)
if read > 0 then
  call('LTRIM', my_mail, read, -1)
  if not counts_upto then call('DEL', uncounted_key) end
end

-- The replica no longer counts the ticket for the sake of unread mail.
local function uncount(ticket)
  local n = unread_about[ticket]
  if not n then return end
  told, unread_about[ticket] = told - n, nil
  call('HSET', uncounted_key, ticket, exact(me.sent))
  expire(uncounted_key)
end

-- What the replica states of itself; whatever had drifted is right again.
local before, my_book = me.bands, {}
me.bands = {}
for i = 1, next_number() do
  local priority, policy, counts, lifts, half_life = next_number(), next_arg(), next_flag(), next_flag(), next_number()
  local name = open_book(priority, policy, counts, lifts, half_life)
  local limit, in_flight, queued, bytes, v = next_arg(), next_arg(), next_arg(), next_arg(), next_number()
  local record = concat({ priority, name, limit, in_flight, queued, bytes }, PART)
  limit = tonumber(limit)
  me.bands[i] = {
    priority = priority, book = name, limit = limit, in_flight = tonumber(in_flight), queued = tonumber(queued),
    bytes = tonumber(bytes), record = record,
  }
  v = v * books[name].scale
  if registering and v > books[name].v then
    books[name].v = v
    save_book(name)
  end
  my_book[priority] = name
  local b = before[i]
  recount = recount or not b or b.priority ~= priority or b.limit ~= limit or b.book ~= name
end
recount = recount or #before ~= #me.bands
if recount then count_fleet() else count_in(me, 1) end

-- Flows with limits of their own.
local stated_limits, rooms = {}, {}
local unread_of = {}
local limited_count = next_number()
if limited_count > 0 or registering or resyncing then
  for _, record in ipairs(me.sent > me.read and call('LRANGE', my_mail, 0, -1) or {}) do
    local mail = read_mail(record)
    if is_grant(mail[2]) then
      local id = mail[4] .. ':' .. mail[6]
      unread_of[id] = (unread_of[id] or 0) + 1
    end
  end
end
for i = 1, limited_count do
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
  rooms[id] = true
end
if registering or resyncing then
  for id in pairs(load_hash(base .. ':limited:' .. my_id, tonumber)) do
    if not rooms[id] and id ~= SENTINEL then count_limited(me, id, unread_of[id] or 0) end
  end
end

-- The replica's endpoints.
local wants_loads = next_flag()
local listed = {}
for _ = 1, next_number() do
  local endpoint, in_flight, tokens = next_arg(), next_number(), next_number()
  listed[endpoint] = true
  if in_flight < 0 then
    forget_load(my_id, endpoint)
  else
    count_load(my_id, endpoint, in_flight + (suggested[endpoint] or 0))
    count_tokens(my_id, endpoint, tokens)
  end
end
if registering or resyncing then
  for _, endpoint in ipairs(call('HKEYS', loads_key(my_id))) do
    if not listed[endpoint] then forget_load(my_id, endpoint) end
  end
end
if recount then count_loads() end

-- Settlements, once a batch.
local settles = batch > me.batch
me.batch = math.max(me.batch, batch)
for _ = 1, next_number() do
  local flow, priority, policy, delta, counter = next_arg(), next_number(), next_arg(), next_number(), next_number()
  local tokens = next_number()
  if settles then
    settle(book_name(priority, policy), flow, delta, counter)
    local m = limit_of(priority .. ':' .. flow)
    if m then spend(m, tokens) end
  end
end

-- Counters that a registering replica was last told.
for _ = 1, next_number() do
  local flow, priority, value = next_arg(), next_number(), next_number()
  local name = my_book[priority]
  if name and books[name].counts then
    local counter = counter_of(name, flow)
    value = value * books[name].scale
    if not counter or counter < value then
      set_counter(name, flow, value)
      if not move(name, flow, value) and not counter then mark_idle(name, flow) end
    end
  end
end

-- Withdrawals.
local my_own = base .. ':own:' .. my_id
for _ = 1, next_number() do
  local ticket = next_arg()
  local offer = offer_of(ticket)
  if offer and offer.owner == my_id and not offer.granted then remove(ticket, offer) else uncount(ticket) end
end

-- Offers.
local restated, added = {}, 0
for _ = 1, next_number() do
  local ticket, flow, priority = next_arg(), next_arg(), next_number()
  local rank, charge, score, idle, tokens = next_arg(), next_arg(), next_arg(), next_flag(), next_arg()
  local offer = offer_of(ticket)
  restated[ticket] = true
  if offer and offer.granted then
    if offer.owner ~= my_id then
      uncount(ticket)
      post(me, TAKEN, ticket, offer, counter_of(offer.book, offer.flow))
      told = told + 1
      unread_about[ticket] = 1
    end
  else
    if offer then
      if offer.owner == my_id then
        idle = false -- it stood before: it was lifted then, or had not to be
      elseif replica(offer.owner) then
        post(replica(offer.owner), DROPPED, ticket, offer)
      end
      remove(ticket, offer)
    end
    uncount(ticket) -- counted once, as standing again
    if my_book[priority] then
      offer = { book = my_book[priority], flow = flow, rank = rank, charge = charge, score = score, owner = my_id, tokens = tokens, granted = false }
      save_offer(ticket, offer)
      added = added + call('SADD', my_own, ticket)
      stand(offer, score .. ticket, idle)
    end
  end
end
if registering or resyncing then
  for _, ticket in ipairs(call('SMEMBERS', my_own)) do
    if not restated[ticket] then
      local offer = offer_of(ticket)
      if offer then remove(ticket, offer) else call('SREM', my_own, ticket) end
    end
  end
end

local status, standing = OK, call('SCARD', my_own)
if standing + told ~= stated_standing then status = RESYNC end
if standing <= added then expire(my_own) end -- it was empty before this turn

-- Grant what capacity there is: the highest band first, in a band the lowest
-- rank, and no band below one that still waits.

-- The band's next offer, from its books in turn: the book, the offer, and how
-- many books were passed over; nothing if none waits.
local function next_of(band)
  local n = #band.books
  for skipped = 0, n - 1 do
    local name = band.books[1 + (band.turn + skipped) % n]
    local member = call('ZRANGE', base .. ':wait:' .. name, 0, 0)[1]
    if member and member ~= SENTINEL then return name, member, skipped end
  end
end

local function serve(band, name, member)
  local ticket = string.sub(member, 17)
  local offer = offer_of(ticket)
  local owner = offer and replica(offer.owner)
  if not owner or offer.granted then
    call('ZREM', base .. ':wait:' .. name, member) -- left over from what was deleted by hand
    return
  end
  local flow_id = books[name].priority .. ':' .. offer.flow
  local limit = limit_of(flow_id)
  if limit and not is_open(limit) then
    remove(ticket, offer)
    post(owner, AT_LIMIT, ticket, offer)
    return
  end
  call('SREM', base .. ':own:' .. offer.owner, ticket)
  local ingress = replica(string.sub(ticket, 18))
  offer.granted = true
  call('HSET', base .. ':offers', ticket, string.sub(offer.record, 1, -2) .. flag(true))
  if not ingress then
    leave_book(offer, member)
    post(owner, DROPPED, ticket, offer)
    return
  end
  band.turn = band.turn + 1
  local book, rank, counter = books[name], tonumber(offer.rank), nil
  if book.counts then
    rank = counter_of(name, offer.flow) or rank * book.scale
    counter = rank + tonumber(offer.charge) * book.scale
    set_counter(name, offer.flow, counter)
  end
  if rank > book.v then book.v, book.moved = rank, true end
  if limit then
    limit.held = limit.held + 1
    spend(limit, tonumber(offer.tokens))
    if call('HINCRBY', base .. ':limited:' .. ingress.id, flow_id, 1) == 1 then expire(base .. ':limited:' .. ingress.id) end
  end
  leave_book(offer, member)
  if ingress.id == owner.id then
    post(ingress, GRANTED + TAKEN, ticket, offer, counter, suggest(ingress.id))
  else
    post(ingress, GRANTED, ticket, offer, counter, suggest(ingress.id))
    post(owner, TAKEN, ticket, offer, counter)
  end
end

local function grant()
  if meta.recovering then
    if fleet.members < meta.expected and now < meta.recovered then return end
    meta.recovering = false
  end
  local priorities = {}
  for key in pairs(bands) do insert(priorities, tonumber(key)) end
  table.sort(priorities, function(a, b) return a > b end)
  for _, priority in ipairs(priorities) do
    local key = tostring(priority)
    local band, stated = bands[key], fleet.bands[priority]
    local turn = band.turn
    local name, member, skipped = next_of(band)
    while member and stated and fleet.held < stated.limit do
      band.turn = band.turn + skipped
      serve(band, name, member)
      name, member, skipped = next_of(band)
    end
    if band.turn ~= turn then save_band(key) end
    if member then return end
  end
end
if not leaving then grant() end

-- Forget a few counters that have been idle long enough: what the lift implies
-- first, and the rest later.
for name, book in pairs(books) do
  if book.moved then save_book(name) end
  if book.counts and (recount or number % 8 == 0) then
    local idle, debts = base .. ':idle:' .. name, base .. ':debts:' .. name
    for _, flow in ipairs(call('ZRANGEBYSCORE', idle, '-inf', now - idle_after, 'LIMIT', 0, 512)) do
      if book.lifts and (counter_of(name, flow) or 0) <= book.v then
        call('HDEL', base .. ':count:' .. name, flow)
      else
        call('ZADD', debts, call('ZSCORE', idle, flow), flow)
      end
      call('ZREM', idle, flow)
    end
    for _, flow in ipairs(call('ZRANGEBYSCORE', debts, '-inf', now - keep_for, 'LIMIT', 0, 512)) do
      call('HDEL', base .. ':count:' .. name, flow)
      call('ZREM', debts, flow)
    end
  end
end

-- Once a second: forget books that nobody states, and renew the TTLs.
if recount then
  call('HSET', base .. ':offers', SENTINEL, '')
  local stated = {}
  for _, r in pairs(every_replica()) do
    if r then
      for _, b in ipairs(r.bands) do stated[b.book] = true end
    end
  end
  for name, book in pairs(books) do
    if stated[name] then
      hold(name)
    elseif call('HLEN', base .. ':count:' .. name) < 2 and call('ZCARD', base .. ':wait:' .. name) < 2 then
      books[name] = nil
      call('DEL', base .. ':count:' .. name, base .. ':wait:' .. name, base .. ':idle:' .. name, base .. ':debts:' .. name)
      call('HDEL', base .. ':books', name)
      local key, kept = tostring(book.priority), {}
      for _, other in ipairs(bands[key].books) do
        if other ~= name then insert(kept, other) end
      end
      if #kept > 0 then
        bands[key] = { turn = 0, books = kept }
        save_band(key)
      else
        bands[key] = nil
        call('HDEL', base .. ':bands', key)
      end
    end
  end
end

-- How many offers stand in a book.
local function standing_in(name)
  local n = 0
  for _, member in ipairs(call('ZRANGE', base .. ':wait:' .. name, 0, -1)) do
    if member ~= SENTINEL and not books[name].counts then
      n = n + 1
    elseif member ~= SENTINEL then
      local offer = offer_of(string.sub(member, 17))
      if offer then n = n + call('ZCARD', flow_key(name, offer.flow)) end
    end
  end
  return n
end

-- Requests in flight to revoke: the first of the fleet's, by priority and score, for
-- the highest band that waits at a full pool.
local function revoke()
  local top
  for key, band in pairs(bands) do
    local priority = tonumber(key)
    if (not top or priority > top) and next_of(band) then top = priority end
  end
  local stated = top and fleet.bands[top]
  if meta.recovering or not stated or stated.limit <= 0 or fleet.held < stated.limit then return {} end
  local need, victims = 0, {}
  for _, name in ipairs(bands[tostring(top)].books) do need = need + standing_in(name) end
  for id, r in pairs(every_replica()) do
    if r then
      need = need - r.revoking
      for _, item in ipairs(split(r.sheddable, ';')) do
        local priority, score, seq = string.match(item, '^(-?%d+),(%x+),(%x+)$')
        if priority and tonumber(priority) < top then
          insert(victims, { priority = tonumber(priority), score = score, seq = seq, id = id })
        end
      end
    end
  end
  table.sort(victims, function(a, b)
    if a.priority ~= b.priority then return a.priority < b.priority end
    if a.score ~= b.score then return a.score < b.score end
    if a.seq ~= b.seq then return a.seq < b.seq end
    return a.id < b.id
  end)
  local mine = {}
  for i = 1, math.min(need, #victims) do
    local v = victims[i]
    if v.id == my_id then
      insert(mine, v.seq)
    else
      replicas[v.id].letters, replicas[v.id].dirty = replicas[v.id].letters or {}, true
    end
  end
  return mine
end
local mine = evicts and revoke() or {}

-- What the stated flows may still take.
for i, id in ipairs(stated_limits) do
  local m = limits[id]
  rooms[i] = { exact(m.max > 0 and m.max - m.held or 1e15), exact(m.per_minute > 0 and left_of(m) or 1) }
end
if recount then -- forget those that say nothing any more
  for _, id in ipairs(call('HKEYS', base .. ':limits')) do
    local m = limit_of(id)
    if m and m.held == 0 and now - m.seen >= 60e6 and left_of(m) >= m.per_minute then
      call('HDEL', base .. ':limits', id)
      limits[id] = false
    end
  end
  expire(base .. ':limits')
  expire(base .. ':limited:' .. my_id)
end

-- Wake the others that got mail, with the mail, and write everything back.
for id, r in pairs(replicas) do
  if r and r.dirty then
    if r.letters and id ~= my_id then
      call(publish, base .. ':wake:' .. id, concat({ r.incarnation, exact(r.registered), unpack(r.letters, 1, PUBLISHED) }, '\n'))
    end
    call('HSET', base .. ':replicas', id, write_replica(r))
  end
end
local reply = answer(status, me)
reply[11] = mine
reply[12] = {}
for i = 1, #stated_limits do reply[12][i] = rooms[i] end
if wants_loads then
  reply[13] = call('ZRANGE', load_key, 0, -1, 'WITHSCORES')
  reply[14] = call('HGETALL', tokens_key)
end
if recount or number % 16 == 1 then
  for name in pairs(books) do
    for _, kind in ipairs({ ':count:', ':wait:', ':idle:', ':debts:' }) do expire(base .. kind .. name) end
  end
  for _, key in ipairs({ '', ':leases', ':replicas', ':books', ':bands', ':offers', ':own:' .. my_id, ':mail:' .. my_id }) do
    expire(base .. key)
  end
end
if leaving then
  drop(me)
  save_limits()
  call('HSET', base, 'counted', 0) -- the next turn adds up anew
end
return reply
