-- Eviction.

local mine -- requests of this replica to revoke

do

-- Call with what stands in a book: each offer where service is not counted, or else the key of each
-- flow's offers.
local function each_standing(name, offer_stands, flow_stands)
  local book, first = book_at(name), {}
  ranking.save(book)
  for _, member in ipairs(call('ZRANGE', book.wait, '0', '-1')) do
    local group = groups.inside(book, member)
    if group then
      each_standing(group.name, offer_stands, flow_stands)
    elseif member ~= SENTINEL and book.counts then
      insert(first, string.sub(member, 17))
    elseif member ~= SENTINEL then
      offer_stands(member)
    end
  end
  look_at_offers(first)
  for _, ticket in ipairs(first) do
    local offer = offers[ticket]
    if offer then flow_stands(book.flow .. offer.flow) end
  end
end

-- How many offers of a class stand.
function order.standing(class)
  local n = 0
  for _, name in ipairs(order.places_of(class)) do
    each_standing(name, function() n = n + 1 end, function(key) n = n + call('ZCARD', key) end)
  end
  return n
end

-- Count the offers of a class that stand by their ingresses.
function order.count_standing(class, sum)
  local function count(member)
    local ingress = string.sub(member, 34)
    sum[ingress] = (sum[ingress] or 0) + 1
  end
  for _, name in ipairs(order.places_of(class)) do
    each_standing(name, count, function(key)
      for _, member in ipairs(call('ZRANGE', key, '0', '-1')) do count(member) end
    end)
  end
end

-- Leave out victims that their classes are guaranteed, as if all that are being revoked
-- already were theirs.
local function beyond_shares(victims, revoking)
  for _, class in ipairs(order.guaranteed()) do
    local kept, spared, beyond = {}, 0, order.in_flight_of(class) - revoking - math.ceil(order.slots_of(class))
    for _, victim in ipairs(victims) do
      local of_it = order.holds(class, victim)
      if of_it then spared = spared + 1 end
      if not of_it or spared <= beyond then insert(kept, victim) end
    end
    victims = kept
  end
  return victims
end

-- Requests in flight to revoke: the first of the fleet's, by priority and score, for the
-- class that goes next at a full pool. A class keeps what it is guaranteed, and gets that
-- from any other; a band takes nothing from those that it shares with by weights. What this
-- replica is told counts as being revoked until it states its own.
local function revoke()
  order.look_at_all_again()
  local class, due = order.next_class()
  if fleet.recovering or not class or order.has_room(class, due, places.occupied() - fleet.float) or order.highest_limit() <= 0 then return {} end
  if not due and fleet.bands[class].limit <= 0 then return {} end
  local need, revoking, victims = order.line_of(class) + order.standing(class), 0, {}
  if due then need = math.min(need, order.room_of(class)) end
  local spared = {} -- the bands that it shares with
  if not due then
    for _, priority in ipairs(order.run_of(class)) do spared[priority] = true end
  end
  for id, r in pairs(every_replica()) do
    if r then
      revoking = revoking + r.revoking
      for _, item in ipairs(split(r.sheddable, ITEM)) do
        local victim = decode.sheddable(item)
        if due and not order.holds(class, victim) or not due and victim.priority < class and not spared[victim.priority] then
          victim.id, victim.item = id, item
          insert(victims, victim)
        end
      end
    end
  end
  table.sort(victims, function(a, b)
    if a.priority ~= b.priority then return a.priority < b.priority end
    if a.score ~= b.score then return a.score < b.score end
    if a.seq ~= b.seq then return a.seq < b.seq end
    return ranking.goes_before(a.id, b.id)
  end)
  victims = beyond_shares(victims, revoking)
  local of_this, told = {}, {}
  for i = 1, math.min(need - revoking, #victims) do
    local v = victims[i]
    if v.id == my_id then
      insert(of_this, v.seq)
      told[v.item] = true
    else
      recall(replicas[v.id])
    end
  end
  if #of_this > 0 then
    local rest = {}
    for _, item in ipairs(split(me.sheddable, ITEM)) do
      if not told[item] then insert(rest, item) end
    end
    me.revoking, me.sheddable = me.revoking + #of_this, concat(rest, ITEM)
  end
  return of_this
end

step(function() mine = stated.evicts and revoke() or {} end)

end
