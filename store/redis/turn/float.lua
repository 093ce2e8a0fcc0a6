-- Float: permits that a replica spends by itself.

local float_limit, float_share -- what the replica may spend of it under, and its part; nil for none

do

-- Float is given while a part of the pool is free, at most half of that. Nothing is given
-- of the last eighth: whoever comes next would wait for it to be returned.
local FLOAT_PART, FREE_PART = 2, 8

-- The least limit of the bands that have room, nil if none has; and whether what is given
-- as float is wanted back: an offer stands, or a limit fell below it.
local function open_limit()
  local least, highest, occupied = nil, NO_OPINION, places.occupied()
  for _, band in pairs(fleet.bands) do
    highest = math.max(highest, band.limit)
    if band.limit > occupied and (not least or band.limit < least) then least = band.limit end
  end
  return least, waiting or occupied > highest
end

-- Give the replica permits to spend by itself, or have those who may have some return
-- them: as long as an offer stands, they are for it.
local function lend()
  local limit, wanted = open_limit()
  if wanted then
    if fleet.lent > 0 then fleet.recalled = recall_all(fleet.recalled, function(r) return r.lent end) end
    return
  end
  local free = (limit or 0) - (places.occupied() - fleet.float)
  if fleet.recovering or free <= 0 or free * FREE_PART < limit then return end
  local half = math.floor(free / FLOAT_PART)
  local share = math.floor(half / math.max(1, fleet.askers))
  if share < 1 then return end
  local give = math.max(0, math.min(math.min(me.want_float, share) - me.float, half - fleet.float))
  me.float, me.lent = me.float + give, true
  fleet.held, fleet.float, fleet.lent, fleet.recalled = fleet.held + give, fleet.float + give, fleet.lent + 1, 0
  places.permit(my_id, stated.loads, FLOAT_PART)
  return limit, share
end

step(function()
  float_limit, float_share = nil, nil
  if not stated.leave then float_limit, float_share = lend() end
end)

end
