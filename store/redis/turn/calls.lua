-- One turn of a replica with the pool's ledger; see store.Ledger for the contract and
-- store/memory for the same in Go. The files of this folder are one script, in this
-- order; those that store/memory has, too, say the same in the same words. A server that
-- keeps function libraries runs it once, and calls take_turn for each turn. So what a turn
-- finds out is never in what a file says where it is declared, but in a step.
--
--   calls      Redis' commands, numbers       offers, replica, limits, maxima, loads
--   arguments  settings and statement         places     what endpoints take
--   root       format, epoch                  leases     replicas that go, generations
--   keys       what is kept where             save       what a turn writes
--   records    how it is written, the reply   statement  what the replica states
--   cache      what the turn before left      offered    its tickets
--   state      what is loaded, totals         grant      what capacity there is
--                                             collect    forgetting
--   decay      service that counts less       line       who is next, for slots that end there
--   ranking    what waits, by its order
--   books      flows and counters             revoke     eviction
--   groups     groups of flows                float      permits that replicas spend by themselves
--   shares     which band goes next           answer     the reply
--                                             take       the steps, and what is done about damage
--
-- What the ledger keeps may have been changed by others, evicted or cut short: it is
-- input. A turn that meets what cannot be read, or cannot be, ends by an error, and
-- take has the ledger begin anew: its replicas know all of it.
--
-- A turn reads and writes only what it changes: offers, counters and messages are read
-- once and written together at its end, since a call costs more than what it does.
-- The fleet's totals are kept, and added up anew once a second, so that whatever
-- drifts is right again.
--
-- A zset member is the offer's score and ticket in fixed-width hexadecimal, so that
-- members of equal score sort as the ledger orders them. Keys that would come and go
-- with their last element hold a sentinel, so that they keep their TTLs.

local GRANTED, TAKEN, DROPPED, AT_LIMIT, LINED = 1, 2, 4, 8, 16
local OK, REGISTER = 0, 1
local NO_OPINION, UNLIMITED = -1, 9007199254740992
local RECOUNT_AFTER = 1000000 -- microseconds, as all times here
local PUBLISHED = 1000        -- messages in a wake-up at most; a turn fetches the rest
local SENTINEL = '\31'        -- no name has a control character

-- The sentinel's value in the hashes of offers and counters: longer than any that Redis keeps in a
-- list, which it would search from its beginning for each field (hash-max-listpack-value).
local WIDE = string.rep('-', 65)

-- No integer and no number that the ledger keeps is that large; no flow is served as
-- much, as it counts at the time.
local LARGEST, FARTHEST, MOST = 1e16, math.huge, 1e30

-- End the turn: something that is kept is not what a turn wrote.
local function damaged(what, found) error('damaged ' .. what .. ': ' .. string.sub(tostring(found), 1, 100)) end

local call = redis.call
local concat, insert, format, match = table.concat, table.insert, string.format, string.match

-- What a turn does, in its order, beginning with what it knows and keeps anew: what is left
-- of an earlier one, of any pool, is nothing to it. One that answers ends the turn.
local steps = {}
local function step(f) insert(steps, f) end

-- Numbers as text, exactly. Integers take half the time of others, and most are small, or times that
-- stay the same for many turns; a counter is written several times, by itself and as a score. Their
-- texts are kept, so many of them, and take a tenth of that. So a number is written by this before
-- it is joined to text or given to a command.
local TEXTS, kept_texts, MOST_TEXTS = {}, 0, 8192
local function exact(x)
  local text = TEXTS[x]
  if text then return text end
  if x % 1 == 0 and x < 9e15 and x > -9e15 then
    text = format('%d', x)
    if x < 0 or x >= 4096 and x < 1e9 then return text end -- miniredis' Lua would make room for all integers up to that one
  else
    text = format('%.17g', x)
  end
  if kept_texts >= MOST_TEXTS then TEXTS, kept_texts = {}, 0 end
  TEXTS[x], kept_texts = text, kept_texts + 1
  return text
end
-- A score, as Redis writes it: not every Lua reads that many digits as an integer.
local function score_of(text) return tonumber(text) or tonumber(text .. '.0') end
local function is_finite(x) return x and x > -FARTHEST and x < FARTHEST end
local function flag(set) return set and '1' or '0' end

local function split(s, separator)
  local parts, n, from = {}, 0, 1
  if s == '' then return parts end
  local at = string.find(s, separator, 1, true)
  while at do
    n = n + 1
    parts[n] = string.sub(s, from, at - 1)
    from = at + 1
    at = string.find(s, separator, from, true)
  end
  parts[n + 1] = string.sub(s, from)
  return parts
end

-- A command with any number of arguments, in pieces that fit Lua's stack; what it
-- answers with numbers, added up.
local function call_many(command, key, arguments)
  if #arguments <= 1000 then return #arguments > 0 and call(command, key, unpack(arguments)) or 0 end
  local sum = 0
  for i = 1, #arguments, 1000 do
    sum = sum + call(command, key, unpack(arguments, i, math.min(i + 999, #arguments)))
  end
  return sum
end

-- The same for commands that answer with a list.
local function list_many(command, key, arguments)
  if #arguments <= 1000 then return #arguments > 0 and call(command, key, unpack(arguments)) or {} end
  local list = {}
  for i = 1, #arguments, 1000 do
    for _, item in ipairs(call(command, key, unpack(arguments, i, math.min(i + 999, #arguments)))) do insert(list, item) end
  end
  return list
end
