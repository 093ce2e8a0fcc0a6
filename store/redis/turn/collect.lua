-- What nobody uses is forgotten.

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
