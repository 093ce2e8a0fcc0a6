-- What a turn left, so that the next one need not read it from text again. State is in keys alone:
-- a turn reads these as ever, and takes what is cached only for a text that is the same as the one
-- it was read from or written to. What is cached is taken out by the turn that uses it, and put
-- back by its end: a turn that fails, half done, leaves nothing. A script has nothing cached.

local cached -- of this pool: its fleet, replicas by id, and books and bands by name, each with its text
local cache_offers, cache_again
do

local pools, kept = {}, 0 -- by the base of their keys
local MOST_POOLS, MOST_OFFERS = 16, 256 -- as many are cached at most; of offers twice as many

step(function()
  cached = pools[base]
  if cached then
    pools[base], kept = nil, kept - 1
  else
    cached = { fleet = false, replicas = {}, books = {}, bands = {}, offers = {}, before = {}, added = 0, looked = 0, lease_ends = 0 }
  end
end)

-- Cache the offers that were looked at.
function cache_offers(seen)
  for ticket, offer in pairs(seen) do
    if offer then
      if cached.added >= MOST_OFFERS then cached.before, cached.offers, cached.added = cached.offers, {}, 0 end
      cached.offers[ticket], cached.added = offer, cached.added + 1
    end
  end
end

-- Leave what is cached to the next turn, once all is written.
function cache_again()
  if kept >= MOST_POOLS then pools, kept = {}, 0 end
  pools[base], kept = cached, kept + 1
end

end

-- What was left with that text, which the turn takes; nil for none. It was not read, so what
-- cannot be is looked for here.
local function take_cached(from, name, text, kind)
  local record = from[name]
  from[name] = nil
  if not record or record.text ~= text then return nil end
  if not possible[kind](record) then damaged(kind, text) end
  return record
end
