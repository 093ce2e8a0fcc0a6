-- What a turn writes at its end, and what it answers.

-- Write what changed, and wake the others that got messages, with these.
local function save()
  save_limits()
  places.save()
  places.save_short()
  places.save_closed()
  save_offers()
  save_books()
  local records = {}
  if all_seen then cached.replicas = {} end -- those that have gone are not kept
  for id, r in pairs(replicas) do
    if r and r.dirty then
      if r.posted then
        call_many('RPUSH', messages_key(id), r.posted)
        if r.sent - r.read <= #r.posted then expire(messages_key(id)) end -- there were none
        if id ~= my_id then
          wake(id, concat({ encode.wakeup(r), unpack(r.posted, 1, PUBLISHED) }, '\n'))
        elseif r.messages then
          for _, record in ipairs(r.posted) do insert(r.messages, record) end
        end
        r.posted, r.recall = nil, false
      end
      if r.by_priority then r.granted = write_all_granted(r) end
      r.text = encode.replica(r)
      insert(records, id)
      insert(records, r.text)
      r.dirty = false
    end
    if r then cached.replicas[id] = r end
  end
  call_many('HSET', REPLICAS, records)
  cached.books, cached.bands = books, bands
  groups.cache()
  local totals = {}
  for _, band in pairs(fleet.bands) do insert(totals, band) end
  fleet.totals = write_totals(totals)
  order.save_shares()
  groups.save_shut()
  fleet.text = encode.state(fleet)
  call('HSET', base, 'state', fleet.text)
  cached.fleet = fleet
end

-- The reply to a replica, or to one that is not known.
local function answer(status, r)
  local reply = {
    status = status, applied = r and r.last or 0, generation = fleet.generation, now = now, recovering = fleet.recovering,
    held = 0, out_of_use = 0, queued = 0, bytes = 0, members = fleet.members, bands = {}, lowest = 0, messages = {}, revoke = {}, rooms = {}, groups = {},
    loads = {}, tokens = {}, lost = {}, places = {}, permits = {}, short = {}, capacity = 0,
    float = r and r.float or 0, float_limit = 0, float_share = 0, line_recalled = false, in_line = 0,
    may_pass = false, pass_above = 0, pass_wait = false, pass_lately = false, yields = {},
  }
  if not r then return reply end
  reply.held, reply.queued, reply.bytes = fleet.held - fleet.float, fleet.queued, fleet.bytes
  reply.out_of_use, reply.in_line = places.out_of_use(), fleet.in_line
  for i, b in ipairs(bands_of(r)) do
    local book, band = books[b.book], fleet.bands[b.priority]
    local account = order.account_of(b.priority)
    reply.bands[i] = {
      priority = b.priority, v = book and book.v / book.scale or 0, level = book and book.level / book.scale or 0, queued = band.queued, bytes = band.bytes,
      in_flight = band.in_flight, limit = band.limit, largest = 0, guaranteed = band.guaranteed,
      owed = account.owed, got = account.got, below = account.below,
    }
  end
  order.name_passing(reply, r)
  local lowest
  for priority, band in pairs(fleet.bands) do
    if band.queued > 0 and (not lowest or priority < lowest) then lowest = priority end
  end
  reply.lowest = lowest or 0
  reply.short, reply.capacity = places.name_short(), fleet.capacity
  for id, l in pairs(lost) do
    if l.held > 0 then insert(reply.lost, { replica = id, held = l.held, left = l.ends - now }) end
  end
  if #reply.lost > 1 then table.sort(reply.lost, function(a, b) return ranking.goes_before(a.replica, b.replica) end) end
  reply.messages = r.messages or r.sent > r.read and call('LRANGE', messages_key(r.id), '0', '-1') or {}
  return reply
end
