-- What nobody uses is forgotten.

do

step(order.forget_shares)

local FORGOTTEN = '512' -- counters at most, every eighth turn: 64 a turn

-- Forget a few counters that have been idle for long or are too many, the longest idle
-- first.
step(function()
  if not (recount or stated.full or stated.number % 8 == 0) then return end
  save_books()
  for _, book in ipairs(groups.all()) do
    local gone = call('ZRANGEBYSCORE', book.idle, '-inf', exact(now - settings.keep_for), 'LIMIT', '0', FORGOTTEN)
    local over = call('ZCARD', book.idle) - 1 - settings.counters_kept
    if #gone == 0 and over > 0 then
      gone = call('ZRANGE', book.idle, '0', exact(math.min(over, tonumber(FORGOTTEN)) - 1))
    end
    if #gone > 0 then call('ZREM', book.idle, unpack(gone)) end
    for _, flow in ipairs(gone) do
      local group = string.byte(flow) == 28
      if group and groups.holds(book, flow) then
        mark_idle(book, flow) -- it is shut
      else
        if group then groups.forget(book, flow) else forget_counter(book, flow) end
      end
    end
  end
end)

-- Add up anew what weighs that waits in a book, and in the groups in it.
local function weigh_anew(book)
  local first, sum = {}, 0
  for _, member in ipairs(call('ZRANGE', book.wait, '0', '-1')) do
    local group = groups.inside(book, member)
    if group then
      weigh_anew(group)
      sum = sum + group.share
    elseif book.counts and member ~= SENTINEL then
      insert(first, string.sub(member, 17))
    end
  end
  look_at_offers(first)
  for _, ticket in ipairs(first) do sum = sum + (offers[ticket] and offers[ticket].weight or 0) end
  if sum ~= book.weight then book.weight, book.moved = sum, true end
end

-- How many offers are weighed anew a second on average: Redis does nothing else meanwhile.
local WEIGHED = 1000

-- Once a second: forget books that nobody states, and renew the TTLs. Where many offers stand,
-- what they weigh is added up every few seconds.
step(function()
  if recount then
    call('HSET', OFFERS, SENTINEL, WIDE)
    local weighed = math.floor(now / RECOUNT_AFTER) % math.ceil(call('HLEN', OFFERS) / WEIGHED) == 0
    local in_use = {}
    for _, r in pairs(every_replica()) do
      if r then
        for _, b in ipairs(bands_of(r)) do in_use[b.book] = true end
      end
    end
    for name, book in pairs(books) do
      if in_use[name] then
        if hold(book) > 0 then damaged('book', name) end -- a key of it was lost
        if weighed then weigh_anew(book) end
      elseif call('HLEN', book.count) < 2 and call('ZCARD', book.wait) < 2 and not groups.are_known(book) then
        for _, group in ipairs(groups.list(book)) do groups.forget(book, group.id) end
        books[name] = nil
        call('DEL', book.count, book.wait, book.idle)
        call('HDEL', BOOKS, name)
        local key, kept = exact(book.priority), {}
        for _, other in ipairs(bands[key].books) do
          if other ~= name then insert(kept, other) end
        end
        if #kept > 0 then
          bands[key] = { next_book = 0, offered = bands[key].offered, books = kept }
          save_band(key)
        else
          bands[key] = nil
          call('HDEL', BANDS, key)
          order.look_at_all_again() -- its priority was among those that were sorted before
        end
      end
    end
  end
end)

end
