-- Records: how what the ledger keeps of offers, replicas, books, bands and messages
-- is written as text.

local FIELD, ITEM, PART = '\31', '\30', '\29'

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
local function flag(set) return set and '1' or '0' end

-- An offer's rank and charge stay text, as they came: they are copied more often
-- than reckoned with.
local function write_offer(o)
  return concat({ o.book, o.flow, o.rank, o.charge, o.score, o.owner, o.tokens, flag(o.granted) }, FIELD)
end
local OFFER = '^([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)$'
local function read_offer(s)
  local book, flow, rank, charge, score, owner, tokens, granted = string.match(s, OFFER)
  return {
    book = book, flow = flow, rank = rank, charge = charge, score = score, owner = owner, tokens = tokens,
    granted = granted == '1',
  }
end

local function write_bands(bands)
  local items = {}
  for i, b in ipairs(bands) do
    items[i] = b.record or
      concat({ exact(b.priority), b.book or '', exact(b.limit), exact(b.in_flight), exact(b.queued), exact(b.bytes) }, PART)
  end
  return concat(items, ITEM)
end
local function read_bands(s, keep)
  local bands = {}
  for i, item in ipairs(split(s, ITEM)) do
    local b = split(item, PART)
    bands[i] = {
      priority = tonumber(b[1]), book = b[2], limit = tonumber(b[3]), in_flight = tonumber(b[4]),
      queued = tonumber(b[5]), bytes = tonumber(b[6]), record = keep and item,
    }
  end
  return bands
end

local function write_replica(r)
  return concat({ r.id, r.incarnation, exact(r.last), exact(r.batch), exact(r.sent), exact(r.read), exact(r.unread),
    concat(r.dead, ITEM), r.bands and write_bands(r.bands) or r.bands_text, exact(r.registered), exact(r.revoking), r.sheddable }, FIELD)
end
local function read_replica(s)
  local f = split(s, FIELD)
  return {
    id = f[1], incarnation = f[2], last = tonumber(f[3]), batch = tonumber(f[4]), sent = tonumber(f[5]), read = tonumber(f[6]),
    unread = tonumber(f[7]), dead = split(f[8], ITEM), bands_text = f[9],
    registered = tonumber(f[10]) or 0, revoking = tonumber(f[11]) or 0, sheddable = f[12] or '',
  }
end

-- What the replica stated of its bands; few turns ask it of others.
local function bands_of(r)
  r.bands = r.bands or read_bands(r.bands_text, true)
  return r.bands
end

-- Service that is to count half after a while is not decayed: what is served later
-- counts the more. A book's scale says how much, in steps of a sixteenth of its
-- half-life; replicas never see it. See store/memory/decay.go.
local STEPS, REBASE_AFTER = 16, 4096
local function fraction(step)
  return ({ 1, 1.0442737824274138, 1.0905077326652577, 1.1387886347566916, 1.189207115002721, 1.241857812073484,
    1.2968395546510096, 1.3542555469368927, 1.4142135623730951, 1.4768261459394993, 1.5422108254079407, 1.6104903319492543,
    1.681792830507429, 1.7562521603732995, 1.8340080864093424, 1.9152065613971474 })[step + 1]
end

local function rescale(b)
  b.scale = 1
  if b.half_life == 0 then return end
  local step = math.floor(now / (b.half_life / STEPS))
  if b.base == 0 then b.base = step end
  b.steps = math.max(0, step - b.base)
  b.scale = math.ldexp(fraction(b.steps % STEPS), math.floor(b.steps / STEPS))
end

local function write_book(b)
  return concat({ exact(b.v), flag(b.counts), flag(b.lifts), exact(b.priority), b.policy, exact(b.half_life), exact(b.base) }, FIELD)
end
local function read_book(s)
  local f = split(s, FIELD)
  local b = {
    v = tonumber(f[1]), counts = f[2] == '1', lifts = f[3] == '1', priority = tonumber(f[4]), policy = f[5],
    half_life = tonumber(f[6]) or 0, base = tonumber(f[7]) or 0,
  }
  rescale(b)
  return b
end

-- A band's record is the number of grants so far, for taking turns, and its books.
local function write_band(b) return exact(b.turn) .. FIELD .. concat(b.books, FIELD) end
local function read_band(s)
  local f = split(s, FIELD)
  return { turn = tonumber(table.remove(f, 1)), books = f }
end

local function read_message(s)
  local m = split(s, FIELD)
  m[1], m[2] = tonumber(m[1]), tonumber(m[2])
  return m
end
local function is_grant(kind) return kind == GRANTED or kind == GRANTED + TAKEN end
