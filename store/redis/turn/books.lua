-- Books: flows, counters, offers.

local books = {} -- by name
local bands = {} -- by priority, as text: the names of its books, and which is next

local function book_name(priority, policy) return priority .. ':' .. #policy .. ':' .. policy end

-- What a turn keeps of a book beside its record.
local function lay_out(name, book)
  book.wait, book.idle, book.count = wait_key(name), idle_key(name), count_key(name)
  book.flow = flow_keys(name)
  book.counters = {} -- those read or written so far; false where there is none
  book.unsaved = {}  -- flow -> counter, those of them to be written
  rescale(book)
  if book.counts and math.max(math.abs(book.v), math.abs(book.level)) > MOST * book.scale then damaged('book', name) end
end

local flat = call('HGETALL', BOOKS)
local unlisted = #flat / 2 -- books that are in no band, as far as is known
for i = 1, #flat, 2 do
  local book = read_book(flat[i + 1])
  lay_out(flat[i], book)
  books[flat[i]] = book
end
flat = call('HGETALL', BANDS)
for i = 1, #flat, 2 do
  local band = read_band(flat[i + 1])
  bands[flat[i]] = { next_book = band.next_book, books = split(band.books, ITEM) }
  for _, name in ipairs(bands[flat[i]].books) do
    if not books[name] or exact(books[name].priority) ~= flat[i] then damaged('band', flat[i + 1]) end
    unlisted = unlisted - 1
  end
end
if unlisted ~= 0 then damaged('bands', unlisted) end

local function save_band(key)
  call('HSET', BANDS, key, write_band({ next_book = bands[key].next_book, books = concat(bands[key].books, ITEM) }))
end
local function save_book(name) call('HSET', BOOKS, name, write_book(books[name])) end

-- Write what changed in the books.
local function save_books()
  for name, book in pairs(books) do
    local counters = {}
    for flow, counter in pairs(book.unsaved) do
      insert(counters, flow)
      insert(counters, exact(counter))
    end
    call_many('HSET', book.count, counters)
    book.unsaved = {}
    if book.moved then save_book(name) end
    book.moved = false
  end
end

-- Put the sentinels into a book's keys. It returns how many were not there.
local function hold(book)
  return call('ZADD', book.wait, '+inf', SENTINEL) + call('ZADD', book.idle, '+inf', SENTINEL) + call('HSET', book.count, SENTINEL, '0')
end

-- Make the book of that name if there is none, as the replica states it.
local function open_book(name, priority, st)
  if books[name] then return end
  local key = exact(priority)
  books[name] = {
    v = 0, level = 0, weight = 0, counts = st.counts, lifts = st.lifts, priority = priority, policy = st.policy, half_life = st.half_life, origin = 0,
  }
  lay_out(name, books[name])
  save_book(name)
  hold(books[name])
  bands[key] = bands[key] or { next_book = 0, books = {} }
  insert(bands[key].books, name)
  save_band(key)
  recount = true
end

-- Look at the counters of many flows at once.
local function look_at_counters(book, flows)
  local unknown = {}
  for _, flow in ipairs(flows) do
    if book.counters[flow] == nil then insert(unknown, flow) end
  end
  for i, counter in ipairs(list_many('HMGET', book.count, unknown)) do
    local value = counter and tonumber(counter)
    if counter and not (value and math.abs(value) < MOST * book.scale) then damaged('counter', counter) end
    book.counters[unknown[i]] = value
  end
end

local function counter_of(book, flow)
  if book.counters[flow] == nil then look_at_counters(book, { flow }) end
  return book.counters[flow] or nil
end

local function set_counter(book, flow, counter) book.counters[flow], book.unsaved[flow] = counter, counter end

local function forget_counter(book, flow)
  book.counters[flow], book.unsaved[flow] = false, nil
  call('HDEL', book.count, flow)
end

local function mark_idle(book, flow) call('ZADD', book.idle, exact(now), flow) end

local function unmark_idle(book, flow) call('ZREM', book.idle, flow) end

-- The flow's first offer, or nil. Were it the sentinel, all that wait would seem to be none.
local function head_of(book, flow)
  local head = call('ZRANGE', book.flow .. flow, '0', '0')[1]
  if head == SENTINEL then damaged('flow', flow) end
  return head
end

-- Put the flow where its counter says; false if it has no offers.
local function move(book, flow, counter)
  local head = head_of(book, flow)
  if not head then return false end
  call('ZADD', book.wait, exact(counter), head)
  return true
end

-- Bring a book's counters back once its scale has grown large.
local function rebase(book)
  local back = 1 / book.scale
  local counts = call('HGETALL', book.count)
  for i = 1, #counts, 2 do
    if counts[i] ~= SENTINEL then
      local counter = tonumber(counts[i + 1]) * back
      set_counter(book, counts[i], counter)
      move(book, counts[i], counter)
    end
  end
  book.v, book.level, book.origin, book.moved = book.v * back, book.level * back, book.origin + book.steps, true
  rescale(book)
end
for _, book in pairs(books) do
  if book.half_life > 0 and book.steps >= REBASE_AFTER then rebase(book) end
end

-- Take an offer away from its book.
local function leave_book(offer, member)
  call('ZREM', wait_key(offer.book), member)
  local book = books[offer.book]
  if not (book and book.counts) then return end
  call('ZREM', book.flow .. offer.flow, member)
  local counter = counter_of(book, offer.flow) or tonumber(offer.rank) * book.scale
  if not move(book, offer.flow, counter) then
    weigh(book, -offer.weight)
    mark_idle(book, offer.flow)
  end
end

-- Put an offer before its book.
local function stand(offer, member, idle)
  local book = books[offer.book]
  if not book.counts then
    call('ZADD', book.wait, offer.rank, member)
    return
  end
  local key = book.flow .. offer.flow
  local head = head_of(book, offer.flow)
  local before = counter_of(book, offer.flow)
  local counter = before or tonumber(offer.rank) * book.scale
  if idle and not head and book.lifts then
    -- Back from idleness, in the eyes of the whole fleet: what it did not use
    -- while it was away is gone.
    counter = math.max(counter, before and book.v or beginning(book))
  end
  if counter ~= before then set_counter(book, offer.flow, counter) end
  call('ZADD', key, '0', member)
  if not head or stated.full then expire(key) end
  if not head then
    weigh(book, offer.weight)
    if before then unmark_idle(book, offer.flow) end
  elseif head < member then
    return -- not the flow's first
  else
    call('ZREM', book.wait, head)
  end
  call('ZADD', book.wait, exact(counter), member)
end

-- Put a flow in its place after a settlement.
local function settled(book, flow, counter)
  if not move(book, flow, counter) then
    unmark_idle(book, flow)
    mark_idle(book, flow)
  end
end

-- Add delta to the counter of a flow of that weight; one that was collected starts from
-- what the settled grant left. Without a weight the level stays where it is.
local function settle(name, flow, delta, counter, weight)
  local book = books[name]
  if not (book and book.counts) then return end
  local moved = delta * book.scale
  local value = (counter_of(book, flow) or counter * book.scale) + moved
  set_counter(book, flow, value)
  if weight > 0 and moved > 0 then
    follow(book, moved, value, weight)
  elseif weight > 0 then
    refund(book, moved, value, weight)
  end
  settled(book, flow, value)
end

-- Charge a flow for what was let go by float, as if it had been granted; but V passes no
-- flow that waits, since that was not asked.
local function spent(name, st)
  local book = books[name]
  if not (book and book.counts) then return end
  local before = counter_of(book, st.flow)
  local value = before or st.counter * book.scale
  if book.lifts and not head_of(book, st.flow) then value = math.max(value, before and book.v or beginning(book)) end
  value = value + st.delta * book.scale
  local lowest = call('ZRANGE', book.wait, '0', '0', 'WITHSCORES')
  local reached = value - st.last * book.scale
  if lowest[1] and lowest[1] ~= SENTINEL then reached = math.min(reached, score_of(lowest[2])) end
  book.v, book.level, book.moved = math.max(book.v, reached), math.max(book.level, reached), true
  set_counter(book, st.flow, value)
  follow(book, st.delta * book.scale, value, st.weight)
  settled(book, st.flow, value)
end
