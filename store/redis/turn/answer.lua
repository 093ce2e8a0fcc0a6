-- The turn's end.

if recount then -- forget those that say nothing any more
  for _, id in ipairs(call('HKEYS', LIMITS)) do
    local m = limit_of(id)
    if m and m.held == 0 and now - m.seen >= 60e6 and left_of(m) >= m.per_minute then
      call('HDEL', LIMITS, id)
      limits[id] = false
    end
  end
  expire(LIMITS)
  expire(limited_key(my_id))
end

save()
local reply = answer(OK, me)
reply[11] = mine
for i, id in ipairs(stated_limits) do -- what these flows may still take
  local m = limits[id]
  reply[12][i] = { exact(m.max > 0 and m.max - m.held or 1e15), exact(m.per_minute > 0 and left_of(m) or 1) }
end
if wants_loads then
  reply[13] = call('ZRANGE', LOAD, '0', '-1', 'WITHSCORES')
  reply[14] = call('HGETALL', TOKENS)
end
if recount or number % 16 == 1 then
  for _, book in pairs(books) do
    for _, key in ipairs({ book.count, book.wait, book.idle, book.debts }) do expire(key) end
  end
  for _, key in ipairs({ base, LEASES, REPLICAS, BOOKS, BANDS, OFFERS, own_key(my_id), messages_key(my_id) }) do expire(key) end
end
if leaving then
  drop(me)
  fleet.counted = 0 -- the next turn adds up anew
  save()
end
return reply
