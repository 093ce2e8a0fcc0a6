-- Books: flows, counters, offers.

local books -- by name
local groups = {} -- what is done with groups in them; see groups.lua
local bands -- by priority, as text: the names of its books, and which is next

local function book_name(priority, policy) return priority .. ':' .. #policy .. ':' .. policy end

-- The book of that name, or the group in one.
local function book_at(name) return books[name] or groups.node(name, false) end

-- What a turn keeps of a book, or of a group in one, beside its record.
local function lay_out(name, book)
  if not book.name then -- it is not cached
    book.name, book.wait, book.idle, book.count = name, wait_key(name), idle_key(name), count_key(name)
    book.flow = flow_keys(name)
  end
  book.moved = false
  if book.ranking then ranking.begin(book) end
  book.counters = EMPTY -- those read or written so far; false where there is none
  book.unsaved = EMPTY  -- flow -> counter, those of them to be written
  if not book.outer then rescale(book) end
  local most, v, level = MOST * book.scale, book.v, book.level
  if book.counts and not (v <= most and v >= -most and level <= most and level >= -most) then damaged('book', name) end
end

step(function()
  books, bands = {}, {}
  local flat = call('HGETALL', BOOKS)
  local unlisted = #flat / 2 -- books that are in no band, as far as is known
  for i = 1, #flat, 2 do
    local name, record = flat[i], flat[i + 1]
    local book = take_cached(cached.books, name, record, 'book') or decode.book(record)
    book.text = record
    lay_out(name, book)
    books[name] = book
  end
  flat = call('HGETALL', BANDS)
  for i = 1, #flat, 2 do
    local record = flat[i + 1]
    local band = take_cached(cached.bands, flat[i], record, 'band')
    if not band then
      band = decode.band(record)
      band.text, band.books = record, split(band.books, ITEM)
    end
    bands[flat[i]] = band
    for _, name in ipairs(band.books) do
      if not books[name] or exact(books[name].priority) ~= flat[i] then damaged('band', flat[i + 1]) end
      unlisted = unlisted - 1
    end
  end
  if unlisted ~= 0 then damaged('bands', unlisted) end
end)

local function save_band(key)
  local band = bands[key]
  band.text = encode.band({ next_book = band.next_book, offered = band.offered, books = concat(band.books, ITEM) })
  call('HSET', BANDS, key, band.text)
end
-- Put the sentinels into a book's keys. It returns how many were not there.
local function hold(book)
  return call('ZADD', book.wait, '+inf', SENTINEL) + call('ZADD', book.idle, '+inf', SENTINEL) +
    call('HSET', book.count, SENTINEL, book.outer and encode.group(book) or WIDE)
end

local function save_book(book)
  book.text = encode.book(book)
  call('HSET', BOOKS, book.name, book.text)
end

-- Write what changed in the books.
local function save_books()
  local all = groups.all()
  for i = 1, #all do
    local book = all[i]
    ranking.save(book)
    if book.moved then
      if book.outer then book.text = encode.group(book) else save_book(book) end
    end
    local record = book.moved and book.outer and book.text
    if book.unsaved ~= EMPTY then
      local counters, n = {}, 0
      for flow, counter in pairs(book.unsaved) do
        counters[n + 1], counters[n + 2], n = flow, exact(counter), n + 2
      end
      if record then counters[n + 1], counters[n + 2] = SENTINEL, record end
      call_many('HSET', book.count, counters)
      book.unsaved = EMPTY
    elseif record then
      call('HSET', book.count, SENTINEL, record)
    end
    book.moved = false
  end
end

-- Make the book of that name if there is none, as the replica states it.
local function open_book(name, priority, st)
  if books[name] then return end
  local key = exact(priority)
  books[name] = {
    v = 0, level = 0, weight = 0, counts = st.counts, lifts = st.lifts, priority = priority, policy = st.policy, half_life = st.half_life, origin = 0,
  }
  lay_out(name, books[name])
  save_book(books[name])
  hold(books[name])
  bands[key] = bands[key] or { next_book = 0, offered = 0, books = {} }
  insert(bands[key].books, name)
  save_band(key)
  recount = true
end

-- Take in what a flow's counter was found to be.
local function take_counter(book, flow, found)
  if book.counters == EMPTY then book.counters = {} end
  if not found then
    book.counters[flow] = false
    return
  end
  local value, most = found + 0, MOST * book.scale
  if not (value < most and value > -most) then damaged('counter', found) end
  book.counters[flow] = value
end

-- Look at the counters of many flows at once.
local function look_at_counters(book, flows)
  if book.counters == EMPTY then book.counters = {} end
  local unknown = {}
  for i = 1, #flows do
    local flow = flows[i]
    if book.counters[flow] == nil then
      unknown[#unknown + 1] = flow
      book.counters[flow] = false -- once is enough
    end
  end
  local found = list_many('HMGET', book.count, unknown)
  for i = 1, #unknown do take_counter(book, unknown[i], found[i]) end
end

local function counter_of(book, flow)
  if book.counters[flow] == nil then take_counter(book, flow, call('HGET', book.count, flow)) end
  return book.counters[flow] or nil
end

local function set_counter(book, flow, counter)
  if book.counters == EMPTY then book.counters = {} end
  if book.unsaved == EMPTY then book.unsaved = {} end
  book.counters[flow], book.unsaved[flow] = counter, counter
end

local function forget_counter(book, flow)
  if book.counters[flow] then book.counters[flow] = false end
  if book.unsaved[flow] then book.unsaved[flow] = nil end
  call('HDEL', book.count, flow)
end

local mark_idle, unmark_idle, head_of = ranking.mark_idle, ranking.unmark_idle, ranking.head

-- Put the flow where its counter says; false if it has no offers.
local function move(book, flow, counter)
  local head = head_of(book, flow)
  if not head then return false end
  ranking.put(book, flow, head, counter)
  return true
end

-- Bring the counters of a book back, or of a group in one, once its scale has grown large.
local function rebase(book, back)
  local counts = call('HGETALL', book.count)
  for i = 1, #counts, 2 do
    if counts[i] ~= SENTINEL then
      local counter = tonumber(counts[i + 1]) * back
      set_counter(book, counts[i], counter)
      move(book, counts[i], counter)
    end
  end
  for _, group in ipairs(groups.list(book)) do
    groups.bring_back(group, back)
    rebase(group, back)
  end
  book.v, book.level, book.moved = book.v * back, book.level * back, true
end
function groups.rebase_all()
  for _, book in pairs(books) do
    if book.half_life > 0 and book.steps >= REBASE_AFTER then
      rebase(book, 1 / book.scale)
      book.origin = book.origin + book.steps
      rescale(book)
      groups.rescale()
    end
  end
end

-- Take an offer away from its book.
local function leave_book(offer, member)
  local book = book_at(offer.book)
  if not book then
    call('ZREM', wait_key(offer.book), member)
    return
  end
  ranking.drop(book, offer.flow, member)
  if book.counts then
    local head = ranking.take(book, offer.flow, member)
    if head then
      ranking.put(book, offer.flow, head, counter_of(book, offer.flow) or tonumber(offer.rank) * book.scale)
      return
    end
    weigh(book, -offer.weight)
    mark_idle(book, offer.flow)
  end
  if book.outer and ranking.is_empty(book) then groups.rest(book) end
end

-- Put an offer before its book.
local function stand(offer, member, idle)
  local book = book_at(offer.book)
  if not book.counts then
    local began = book.outer and ranking.is_empty(book)
    ranking.put(book, offer.flow, member, tonumber(offer.rank))
    if began then groups.begin(book, offer.idle_groups) end
    return
  end
  local head = head_of(book, offer.flow)
  local began = not head and book.outer and ranking.is_empty(book)
  local before = counter_of(book, offer.flow)
  local counter = before or tonumber(offer.rank) * book.scale
  if idle and not head and book.lifts then
    -- Back from idleness, in the eyes of the whole fleet: what it did not use
    -- while it was away is gone.
    counter = math.max(counter, before and book.v or began and book.level or beginning(book))
  end
  if counter ~= before then set_counter(book, offer.flow, counter) end
  ranking.add(book, offer.flow, member, head)
  if not head then
    weigh(book, offer.weight)
    if before then unmark_idle(book, offer.flow) end
  elseif ranking.is_first(head, member) then
    return -- not the flow's first
  else
    ranking.drop(book, offer.flow, head)
  end
  ranking.put(book, offer.flow, member, counter)
  if began then groups.begin(book, offer.idle_groups) end
end

-- Put a flow in its place after a settlement.
local function settled(book, flow, counter)
  if not move(book, flow, counter) then mark_idle(book, flow) end
end

-- Correct what a flow was charged; one that was collected starts from what the settled
-- grant left. If it follows, the level moves with it.
local function settle(name, st, follows)
  local book = book_at(name)
  if not book then return end
  follows = follows and st.weight > 0
  if book.counts then
    local moved = st.delta * book.scale
    local value = (counter_of(book, st.flow) or st.counter * book.scale) + moved
    set_counter(book, st.flow, value)
    if follows then correct(book, moved, value, st.weight) end
    settled(book, st.flow, value)
  end
  groups.settle(book, st.service, follows)
end

-- Charge a flow for what was let go by float, as if it had been granted; but V passes no
-- flow that waits, since that was not asked.
local function spent(name, st)
  local book = book_at(name)
  if not book then return end
  if book.counts then
    local before = counter_of(book, st.flow)
    local value = before or st.counter * book.scale
    if book.lifts and not head_of(book, st.flow) then value = math.max(value, before and book.v or beginning(book)) end
    value = value + st.delta * book.scale
    set_counter(book, st.flow, value)
    reach(book, value - st.last * book.scale)
    follow(book, st.delta * book.scale, value, st.weight)
    settled(book, st.flow, value)
  end
  groups.spend(book, st.service, st.last * st.weight)
end
