-- Eviction.

-- How many offers stand in a book.
local function standing_in(name)
  local book, first, n = books[name], {}, 0
  for _, member in ipairs(call('ZRANGE', book.wait, '0', '-1')) do
    if member ~= SENTINEL then insert(first, string.sub(member, 17)) end
  end
  if not book.counts then return #first end
  look_at_offers(first)
  for _, ticket in ipairs(first) do
    local offer = offers[ticket]
    if offer then n = n + call('ZCARD', book.flow .. offer.flow) end
  end
  return n
end

-- Requests in flight to revoke: the first of the fleet's, by priority and score, for
-- the highest band that waits at a full pool.
local function revoke()
  local top
  for key, band in pairs(bands) do
    local priority = tonumber(key)
    if (not top or priority > top) and next_of(band) then top = priority end
  end
  local total = top and fleet.bands[top]
  if fleet.recovering or not total or total.limit <= 0 or fleet.held - fleet.float < total.limit then return {} end
  local need, victims = 0, {}
  for _, name in ipairs(bands[exact(top)].books) do need = need + standing_in(name) end
  for id, r in pairs(every_replica()) do
    if r then
      need = need - r.revoking
      for _, item in ipairs(split(r.sheddable, ITEM)) do
        local victim = read_sheddable(item)
        if victim.priority < top then
          victim.id = id
          insert(victims, victim)
        end
      end
    end
  end
  table.sort(victims, function(a, b)
    if a.priority ~= b.priority then return a.priority < b.priority end
    if a.score ~= b.score then return a.score < b.score end
    if a.seq ~= b.seq then return a.seq < b.seq end
    return a.id < b.id
  end)
  local mine = {}
  for i = 1, math.min(need, #victims) do
    local v = victims[i]
    if v.id == my_id then
      insert(mine, v.seq)
    else
      recall(replicas[v.id])
    end
  end
  return mine
end
local mine = stated.evicts and revoke() or {}
