-- Replicas that were not heard of lately: what waits at them waits elsewhere, for all that is known.
-- See store/memory/away.go.

do

local HEARD_WITHIN = 500000
local AT_ONCE = 64 -- members that are read together

local theirs -- the tickets that stand in the names of those that are away, a set; nil until it is asked for

-- The replicas that were not heard of lately; nil where all were.
function order.who_is_away()
  local away
  theirs = nil
  local late = call('ZRANGEBYSCORE', LEASES, '-inf', '(' .. exact(now + settings.lease - HEARD_WITHIN), 'WITHSCORES')
  for i = 1, #late, 2 do
    local r = replica(late[i])
    if r and now + settings.lease - tonumber(late[i + 1]) > HEARD_WITHIN + r.pace then
      away = away or {}
      away[late[i]] = true
    end
  end
  return away
end

local function is_theirs(member, away)
  if not theirs then
    theirs = {}
    for id in pairs(away) do
      for _, ticket in ipairs(call('SMEMBERS', own_key(id))) do theirs[ticket] = true end
    end
  end
  return theirs[string.sub(member, 17)]
end

-- Whether an offer stands in a book, or in a group in one, that is another's than theirs: each, or
-- the first of each flow. The flows whose first is theirs are added to a list.
local function stands_beside(name, away, behind)
  local book, from = book_at(name), 0
  local members
  ranking.save(book)
  repeat
    members = call('ZRANGE', book.wait, exact(from), exact(from + AT_ONCE - 1))
    from = from + AT_ONCE
    for _, member in ipairs(members) do
      local group = groups.inside(book, member)
      if group then
        if stands_beside(group.name, away, behind) then return true end
      elseif member ~= SENTINEL then
        if not is_theirs(member, away) then return true end
        if book.counts then insert(behind, { book = book, ticket = string.sub(member, 17) }) end
      end
    end
  until #members < AT_ONCE
  return false
end

-- Whether one stands behind the first of those flows. Their records are read here alone: as many as
-- those that are away offer would take the place of all that is cached of late.
local function stands_behind(flows, away)
  local tickets = {}
  for i, flow in ipairs(flows) do tickets[i] = flow.ticket end
  for i, record in ipairs(list_many('HMGET', OFFERS, tickets)) do
    for _, member in ipairs(record and call('ZRANGE', flows[i].book.flow .. decode.offer(record).flow, '0', '-1') or {}) do
      if not is_theirs(member, away) then return true end
    end
  end
  return false
end

-- Whether something waits in a class at others than those: that they offer, or whose line it is in.
local function waits_beside(class, away)
  if type(class) == 'number' and order.line_of(class) > 0 then
    for id, r in pairs(every_replica()) do
      if r and r.line > 0 and not away[id] then return true end
    end
  end
  local behind = {}
  for _, name in ipairs(order.places_of(class)) do
    if stands_beside(name, away, behind) then return true end
  end
  return stands_behind(behind, away)
end

-- Whether a class waited since the last turn, or only away: at replicas whose turns fail, as it seems.
-- These serve it by themselves, or nothing, and which is not known: that time is not accounted for.
function order.waited(class, away)
  local waits = not fleet.recovering and order.waits(class)
  local only_away = waits and away and not waits_beside(class, away)
  return waits and not only_away, only_away
end

end
