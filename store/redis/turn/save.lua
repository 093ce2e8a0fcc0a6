-- What a turn writes at its end, and what it answers.

-- Write what changed, and wake the others that got messages, with these.
local function save()
  save_limits()
  save_offers()
  save_books()
  local records = {}
  for id, r in pairs(replicas) do
    if r and r.dirty then
      if r.posted then
        call_many('RPUSH', messages_key(id), r.posted)
        if r.sent - r.read <= #r.posted then expire(messages_key(id)) end -- there were none
        if id ~= my_id then
          call(publish, base .. ':wake:' .. id, concat({ r.incarnation, exact(r.registered), unpack(r.posted, 1, PUBLISHED) }, '\n'))
        elseif r.messages then
          for _, record in ipairs(r.posted) do insert(r.messages, record) end
        end
        r.posted = nil
      end
      insert(records, id)
      insert(records, write_replica(r))
      r.dirty = false
    end
  end
  call_many('HSET', REPLICAS, records)
  local stated = {}
  for _, b in pairs(fleet.bands) do insert(stated, b) end
  call('HSET', base, 'generation', exact(meta.generation), 'recovering', flag(meta.recovering), 'recovered', exact(meta.recovered),
    'expected', exact(meta.expected), 'counted', exact(fleet.counted), 'bands', write_bands(stated), 'totals',
    concat({ exact(fleet.held), exact(fleet.queued), exact(fleet.bytes), exact(fleet.members) }, FIELD))
end

-- The reply to a replica, or to one that is not known.
local function answer(status, r)
  local reply = { status, exact(meta.generation), exact(now), meta.recovering and 1 or 0, 0, 0, 0, fleet.members, {}, {}, {}, {}, {}, {} }
  if not r then return reply end
  reply[5], reply[6], reply[7] = fleet.held, fleet.queued, fleet.bytes
  for i, b in ipairs(bands_of(r)) do
    local book, band = books[b.book], fleet.bands[b.priority]
    reply[9][i] = { b.priority, exact(book and book.v / book.scale or 0), band.queued, band.bytes, band.in_flight }
  end
  reply[10] = r.messages or r.sent > r.read and call('LRANGE', messages_key(r.id), '0', '-1') or {}
  return reply
end
