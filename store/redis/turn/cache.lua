-- What a turn left, so that the next one need not read it from text again. State is in keys alone:
-- a turn reads these as ever, and takes what is cached only for a text that is the same as the one
-- it was read from or written to. What is cached is taken out by the turn that uses it, and put
-- back by its end: a turn that fails, half done, leaves nothing. A script has nothing cached.

local cached -- of this pool: its fleet, replicas by id, and books and bands by name, each with its text; and of late
local cache_late, cache_again
do

local pools, kept = {}, 0 -- by the base of their keys
local MOST_POOLS = 16     -- as many are cached at most

-- What is cached of late alone, since there may be many: as many as that, and as many from before.
local MOST_LATE = 256
local function of_late() return { now = {}, before = {}, added = 0 } end

step(function()
  cached = pools[base]
  if cached then
    pools[base], kept = nil, kept - 1
  else
    cached = {
      fleet = false, replicas = {}, books = {}, bands = {}, looked = 0, lease_ends = 0,
      offers = of_late(), groups = of_late(), messages = of_late(), -- the messages by their texts
    }
  end
end)

function cache_late(late, name, record)
  if late.added >= MOST_LATE then late.before, late.now, late.added = late.now, {}, 0 end
  if not late.now[name] then late.added = late.added + 1 end
  late.now[name] = record
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

-- The same of what is cached of late.
local function cached_late(late, name) return late.now[name] or late.before[name] end
local function take_late(late, name, text, kind)
  local from = late.before
  if late.now[name] then from, late.added = late.now, late.added - 1 end
  return take_cached(from, name, text, kind)
end
