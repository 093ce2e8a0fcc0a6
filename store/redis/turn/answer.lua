-- The answer, and word to the others.

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
