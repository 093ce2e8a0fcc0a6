-- What nobody uses is forgotten.

-- Forget a few counters that have been idle long enough: what the lift implies
-- first, and the rest later.
save_books()
for _, book in pairs(books) do
  if book.counts and (recount or stated.number % 8 == 0) then
    for _, flow in ipairs(call('ZRANGEBYSCORE', book.idle, '-inf', exact(now - settings.idle_after), 'LIMIT', '0', '512')) do
      if book.lifts and (counter_of(book, flow) or 0) <= book.v then
        forget_counter(book, flow)
      else
        call('ZADD', book.debts, call('ZSCORE', book.idle, flow), flow)
      end
      call('ZREM', book.idle, flow)
    end
    for _, flow in ipairs(call('ZRANGEBYSCORE', book.debts, '-inf', exact(now - settings.keep_for), 'LIMIT', '0', '512')) do
      forget_counter(book, flow)
      call('ZREM', book.debts, flow)
    end
  end
end

-- Once a second: forget books that nobody states, and renew the TTLs.
if recount then
  call('HSET', OFFERS, SENTINEL, '')
  local in_use = {}
  for _, r in pairs(every_replica()) do
    if r then
      for _, b in ipairs(bands_of(r)) do in_use[b.book] = true end
    end
  end
  for name, book in pairs(books) do
    if in_use[name] then
      hold(book)
    elseif call('HLEN', book.count) < 2 and call('ZCARD', book.wait) < 2 then
      books[name] = nil
      call('DEL', book.count, book.wait, book.idle, book.debts)
      call('HDEL', BOOKS, name)
      local key, kept = exact(book.priority), {}
      for _, other in ipairs(bands[key].books) do
        if other ~= name then insert(kept, other) end
      end
      if #kept > 0 then
        bands[key] = { next_book = 0, books = kept }
        save_band(key)
      else
        bands[key] = nil
        call('HDEL', BANDS, key)
      end
    end
  end
end
