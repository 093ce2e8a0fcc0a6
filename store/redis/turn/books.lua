-- Books: flows, counters, offers.

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
