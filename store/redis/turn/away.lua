-- Replicas that were not heard of lately: what waits at them waits elsewhere, for all that is known.
-- See store/memory/away.go.

do

local HEARD_WITHIN = 500000

-- The replicas that were not heard of lately; nil where all were.
function order.who_is_away()
  local away
  for _, id in ipairs(call('ZRANGEBYSCORE', LEASES, '-inf', '(' .. exact(now + settings.lease - HEARD_WITHIN))) do
    away = away or {}
    away[id] = true
  end
  return away
end

-- Whether something waits in a class at others than those: that they offer, or whose line it is in.
local function waits_beside(class, away)
  if type(class) == 'number' and order.line_of(class) > 0 then
    for id, r in pairs(every_replica()) do
      if r and r.line > 0 and not away[id] then return true end
    end
  end
  local front = order.next_offer(class)
  if not front then return false end
  local _, member = order.offer_of(front)
  local first = offer_of(string.sub(member, 17))
  return first and not away[first.owner] or order.is_offered_beside(class, away)
end

-- Whether a class waited since the last turn, or only away: at replicas whose turns fail, as it seems.
-- These serve it by themselves, or nothing, and which is not known: that time is not accounted for.
function order.waited(class, away)
  local waits = not fleet.recovering and order.waits(class)
  local only_away = waits and away and not waits_beside(class, away)
  return waits and not only_away, only_away
end

end
