-- The turn's end.

step(function()
  groups.keep_all()
  save()
  local reply = answer(OK, me)
  reply.revoke, reply.line_recalled = mine, order.line_recalled
  reply.float_limit, reply.float_share = float_limit or 0, float_share or 0
  for i, st in ipairs(stated.limited) do -- what these may still take
    local m, account = limits[st.id], order.account_of(st.id)
    reply.rooms[i] = {
      flow = st.flow, group = st.group, guaranteed = account.slots, owed = account.owed, got = account.got, below = account.below,
      in_flight = m.max > 0 and m.max - m.held or UNLIMITED,
      tokens = m.per_minute > 0 and left_of(m) or 1,
    }
  end
  for i, st in ipairs(stated.groups) do reply.groups[i] = groups.standing(st) end
  if stated.wants_loads then
    reply.loads = call('ZRANGE', LOAD, '0', '-1', 'WITHSCORES')
    reply.tokens = call('HGETALL', TOKENS)
    reply.places = places.listed()
  end
  reply.permits = places.permits_of(my_id, stated.loads)
  if stated.wants_holders then
    for id, r in pairs(every_replica()) do
      for _, b in ipairs(r and id ~= my_id and bands_of(r) or {}) do
        for _, band in ipairs(reply.bands) do
          if band.priority == b.priority and b.largest > band.largest then band.largest = b.largest end
        end
      end
    end
  end
  if recount or stated.number % 16 == 1 then
    for _, book in pairs(books) do
      for _, key in ipairs({ book.count, book.wait, book.idle }) do expire(key) end
    end
    for _, key in ipairs({ root, base, LEASES, REPLICAS, LOST, BOOKS, BANDS, OFFERS, own_key(my_id), messages_key(my_id) }) do expire(key) end
  end
  if stated.leave then
    leases.drop(me)
    count_fleet()
    fleet.counted = 0 -- the books that it alone stated are forgotten by the next turn
    save()
    if fleet.members == 0 and not next(lost) then call('HSET', root, 'until', exact(now)) end
  elseif visited then
    call('HSET', root, 'held', exact(fleet.held))
  end
  cache_again()
  return encode.reply(reply)
end)
