-- One turn of a replica with the pool's ledger; see store.Ledger for the
-- contract and store/memory for the same in Go. The files of this folder are one
-- script, in the order of script.go:
--
--   layout      keys and arguments            statement  what the replica states
--   records     how things are written        grant      what capacity there is
--   state       loading, totals               collect    forgetting
--   books       flows and counters            revoke     eviction
--   offers, limits, loads, replicas           answer     the reply
--   save        what is written, and answered
--
-- KEYS[1] is the pool's root, "<prefix>{<pool>}"; base is the root and the format of
-- what is kept. All keys start with the root and share its hash tag, so that a pool
-- lives on one cluster slot:
--
--   root               hash    the format in which the pool's ledger is kept, and until
--                              when no other may begin
--   base               hash    generation, recovering, recovered, expected, and
--                              the fleet's totals
--   base:leases        zset    replicas by when their leases end
--   base:replicas      hash    id -> record of every replica with a lease
--   base:books         hash    book -> record: V, the policy's account
--   base:bands         hash    priority -> record: the book whose turn it is, books
--   base:offers        hash    ticket -> record; granted ones until their owner
--                              has read so
--   base:own:ID        set     the tickets that stand in the replica's name
--   base:messages:ID   list    records of messages that the replica has not read
--   base:wait:BOOK     zset    the first offer of every waiting flow by its rank,
--                              or every offer where service is not counted
--   base:limits        hash    priority:flow -> account of a flow with a limit of its own
--   base:limited:ID    hash    priority:flow -> its requests in flight at the replica
--   base:load          zset    endpoints by their requests in flight in the fleet, with
--                              when one was last suggested as the fraction, and
--   base:loads:ID      hash    endpoint -> those of the replica; unread grants count
--                              where they were suggested to go
--   base:tokens        hash    endpoint -> what its requests are expected to cost, and
--   base:tokens:ID     hash    endpoint -> the same of the replica; where replicas say so
--   base:flow:BOOK:F   zset    a flow's offers in their order
--   base:count:BOOK    hash    flow -> counter
--   base:idle:BOOK     zset    flows without offers by when they became idle, and
--   base:debts:BOOK    zset    those of them whose counter was above V when looked at
--
-- A zset member is the offer's score and ticket in fixed-width hexadecimal, so
-- that members of equal score sort as the ledger orders them.
--
-- A record is its fields joined by a separator, which the caller keeps out of
-- ids, flows and policies by escaping. ARGV is the statement, flat: what it holds
-- is read in order by next_arg.
--
-- A turn reads and writes only what it changes: offers, counters and messages are read
-- once and written together at its end, since a call costs more than what it does.
-- The fleet's totals are kept, and added up anew once a second, so that whatever
-- drifts is right again.
--
-- Keys that would come and go with their last element hold a sentinel, so that
-- they keep their TTLs.

local root, format_number = KEYS[1], ARGV[1]
local base = root .. ':' .. format_number
local LEASES, REPLICAS, BOOKS, BANDS = base .. ':leases', base .. ':replicas', base .. ':books', base .. ':bands'
local OFFERS, LIMITS, LOAD, TOKENS = base .. ':offers', base .. ':limits', base .. ':load', base .. ':tokens'
local function own_key(id) return base .. ':own:' .. id end
local function messages_key(id) return base .. ':messages:' .. id end
local function limited_key(id) return base .. ':limited:' .. id end
local function loads_key(id) return base .. ':loads:' .. id end
local function tokens_key(id) return base .. ':tokens:' .. id end

local GRANTED, TAKEN, DROPPED, AT_LIMIT = 1, 2, 4, 8
local OK, REGISTER = 0, 1
local NO_OPINION = -1
local RECOUNT_AFTER = 1000000 -- microseconds, as all times here
local PUBLISHED = 1000        -- messages in a wake-up at most; a turn fetches the rest
local SENTINEL = '\31'        -- no name has a control character

local position = 1
local function next_arg()
  position = position + 1
  return ARGV[position]
end
local function next_number() return tonumber(next_arg()) end
local function next_flag() return next_arg() == '1' end

-- The ledger's settings and the statement's head.
local ttl        = next_arg()         -- of every key, in milliseconds
local publish    = next_arg()         -- PUBLISH, or SPUBLISH on a cluster
local lease      = next_number()
local recovery   = next_number()
local idle_after = next_number()
local keep_for   = next_number()
local now        = next_arg()         -- empty: the server's clock
local my_id       = next_arg()
local incarnation = next_arg()        -- zero-padded, so that strings compare
local number      = next_number()
local answered    = next_number()
local generation  = next_number()
local read_upto   = next_number()
local members     = next_number()
local registering = next_flag()
local full        = next_flag()
local alone       = next_flag()
local leaving     = next_flag()
local batch       = next_number()

local call = redis.call
local concat, insert, format = table.concat, table.insert, string.format

-- Numbers as text, exactly. Most are integers, which take a fifth of the time; so a
-- number is written by this before it is joined to text or given to a command.
local function exact(x)
  if x % 1 == 0 and x < 9e15 and x > -9e15 then return format('%d', x) end
  return format('%.17g', x)
end

-- A command with any number of arguments, in pieces that fit Lua's stack; what it
-- answers with numbers, added up.
local function call_many(command, key, arguments)
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

if now == '' then
  local time = call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
else
  now = tonumber(now)
end

-- Every key gets a TTL, so that an abandoned pool vanishes: when it is made, and
-- again once a second with everything that a turn of this replica uses.
local function expire(key) call('PEXPIRE', key, ttl) end
