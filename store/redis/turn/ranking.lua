-- What waits in a book, or in a group in one, by its rank: a flow by its first offer, a group, or
-- every offer where service is not counted. Flows of which Redis has no offer, and groups that
-- begin to wait, are kept in a heap beside it, and written once at the turn's end: what comes and
-- goes within a turn is not written at all. What became idle is written then, too. So whoever asks
-- Redis for all that waits in a book, or is idle, has that written before.

local ranking = {}
do

local byte, sub, floor = string.byte, string.sub, math.floor
local DIGITS = 32 -- of an offer's score and number, which its member begins with

-- What is known of what waits in a book. Tables are made when there is something to be kept.
local function of(book)
  local r = book.ranking
  if not r then
    r = {
      put = EMPTY, heap = false, ranks = false, size = 0,   -- member -> score; the same as a heap, with some that went since
      first = false, score = 0,                             -- the first of those that Redis has, once it was asked
      rested = EMPTY,                                       -- flow or group -> whether it became idle, or is no more
      lists = EMPTY,                                        -- flow -> its offers, of which Redis has none
      heads = EMPTY,                                        -- flow -> the first of its offers, or false, of those that Redis has
    }
    book.ranking = r
  end
  return r
end

-- Know nothing, as a turn begins.
function ranking.begin(book)
  local r = book.ranking
  r.put, r.heap, r.ranks, r.size, r.first = EMPTY, false, false, 0, false
  r.rested, r.lists, r.heads = EMPTY, EMPTY, EMPTY
end

local function note_head(r, flow, head)
  if r.heads == EMPTY then r.heads = {} end
  r.heads[flow] = head
end

-- Forget what is known.
function ranking.forget(book) book.ranking = false end

-- Whether one of two members of equal score is first, as Redis has it: by their bytes. Lua compares
-- texts as the locale does that Redis runs in. Most run in one that goes by bytes, where letters of
-- either case are apart; in others that is the same for the digits of offers alone.
if 'B' < 'a' and 'a-c' < 'ab' then
  function ranking.is_first(a, b) return a < b end
  function ranking.goes_before(a, b) return a < b end
  ranking.sort = table.sort
else
  -- The same of any two texts, and the order of a list of them.
  function ranking.goes_before(a, b)
    for i = 1, math.min(#a, #b) do
      local x, y = byte(a, i), byte(b, i)
      if x ~= y then return x < y end
    end
    return #a < #b
  end
  function ranking.sort(list) table.sort(list, ranking.goes_before) end
  function ranking.is_first(a, b)
    if byte(a) > 29 and byte(b) > 29 then
      local x, y = sub(a, 1, DIGITS), sub(b, 1, DIGITS)
      if x ~= y then return x < y end
    end
    return ranking.goes_before(a, b)
  end
end
local is_first = ranking.is_first

-- Keep a member beside what Redis has.
local function keep(r, member, score)
  if r.put == EMPTY then r.put, r.heap, r.ranks = {}, {}, {} end
  if r.put[member] == score then return end
  r.put[member] = score
  local heap, ranks, i = r.heap, r.ranks, r.size + 1
  r.size = i
  while i > 1 do
    local up = floor(i / 2)
    local rank = ranks[up]
    if rank < score or rank == score and is_first(heap[up], member) then break end
    heap[i], ranks[i], i = heap[up], rank, up
  end
  heap[i], ranks[i] = member, score
end

-- Take the first out of the heap.
local function pop(r)
  local heap, ranks, n = r.heap, r.ranks, r.size
  local member, score, i, down = heap[n], ranks[n], 1, 2
  n = n - 1
  r.size = n
  while down <= n do
    local rank = ranks[down]
    if down < n then
      local other = ranks[down + 1]
      if other < rank or other == rank and is_first(heap[down + 1], heap[down]) then down, rank = down + 1, other end
    end
    if score < rank or score == rank and is_first(member, heap[down]) then break end
    heap[i], ranks[i], i, down = heap[down], rank, down, 2 * down
  end
  heap[i], ranks[i] = member, score
end

-- Put an offer of a flow in its place.
function ranking.put(book, flow, member, score)
  local r = book.ranking or of(book)
  if r.lists[flow] then return keep(r, member, score) end
  call('ZADD', book.wait, exact(score), member)
  r.first = false
end

-- Take an offer of a flow out of its place.
function ranking.drop(book, flow, member)
  local r = book.ranking or of(book)
  if r.lists[flow] then
    r.put[member] = nil
  else
    call('ZREM', book.wait, member)
    r.first = false
  end
end

-- Put a group that begins to wait in its place.
function ranking.begin_group(book, id, score) keep(of(book), id, score) end

-- Put a group elsewhere, if it waits.
function ranking.move_group(book, id, score)
  local r = of(book)
  if r.put[id] then return keep(r, id, score) end
  call('ZADD', book.wait, 'XX', exact(score), id)
  r.first = false
end

-- Take a group out of its place, and return whether it had one.
function ranking.drop_group(book, id)
  local r = of(book)
  if r.put[id] then
    r.put[id] = nil
    return true
  end
  r.first = false
  return call('ZREM', book.wait, id) == 1
end

-- What is first of all that waits, and its score; the sentinel for nothing.
function ranking.first(book)
  local r = book.ranking or of(book)
  local put, heap, ranks = r.put, r.heap, r.ranks
  while r.size > 0 and put[heap[1]] ~= ranks[1] do pop(r) end
  if not r.first then
    local found = call('ZRANGE', book.wait, '0', '0', 'WITHSCORES')
    if not found[1] then damaged('wait', book.name) end -- it was lost, with its sentinel
    r.first, r.score = found[1], found[1] == SENTINEL and FARTHEST or score_of(found[2])
  end
  if r.size > 0 and (ranks[1] < r.score or ranks[1] == r.score and is_first(heap[1], r.first)) then return heap[1], ranks[1] end
  return r.first, r.score
end

function ranking.is_empty(book)
  local r = book.ranking or of(book)
  if not r.first and r.size == 0 then
    local n = call('ZCARD', book.wait)
    if n == 0 then damaged('wait', book.name) end -- it was lost, with its sentinel
    if n > 1 then return false end
    r.first, r.score = SENTINEL, FARTHEST
  end
  return ranking.first(book) == SENTINEL
end

-- The score of a group that waits; nil or false of one that does not.
function ranking.score(book, id)
  local score = of(book).put[id] or call('ZSCORE', book.wait, id)
  return score and score_of(score)
end

-- Note that a flow or group of a book became idle, or is no more.
local function note_idle(book, flow, rests)
  local r = book.ranking or of(book)
  if r.rested == EMPTY then r.rested = {} end
  r.rested[flow] = rests
end
function ranking.mark_idle(book, flow) note_idle(book, flow, true) end
function ranking.unmark_idle(book, flow) note_idle(book, flow, false) end

-- Since when a flow or group has been idle; nil or false if it is not.
function ranking.idle_since(book, flow)
  local rests = of(book).rested[flow]
  if rests ~= nil then return rests and now end
  return tonumber(call('ZSCORE', book.idle, flow) or nil)
end

-- The flow's first offer, or nil. Were it the sentinel, all that wait would seem to be none.
function ranking.head(book, flow)
  local r = book.ranking or of(book)
  local list = r.lists[flow]
  if list then return list[list.from] end
  local head = r.heads[flow]
  if head == nil then
    head = call('ZRANGE', book.flow .. flow, '0', '0')[1] or false
    if head == SENTINEL then damaged('flow', flow) end
    note_head(r, flow, head)
  end
  return head or nil
end

-- Add an offer to those of its flow, of which that one is the first so far, or none.
function ranking.add(book, flow, member, head)
  local r = of(book)
  local list = r.lists[flow]
  if not list and head then
    call('ZADD', book.flow .. flow, '0', member)
    if stated.full then expire(book.flow .. flow) end
    if is_first(member, head) then note_head(r, flow, member) end
    return
  end
  if not list then
    if r.lists == EMPTY then r.lists = {} end
    r.lists[flow] = { member, from = 1 }
    return
  end
  local n = #list
  while n >= list.from and is_first(member, list[n]) do n = n - 1 end
  if n < list.from or list[n] ~= member then insert(list, n + 1, member) end
end

-- Take an offer away from those of its flow. It returns the first of the others, or nil.
function ranking.take(book, flow, member)
  local r = book.ranking or of(book)
  local list = r.lists[flow]
  if not list then
    call('ZREM', book.flow .. flow, member)
    if r.heads[flow] == member then r.heads[flow] = nil end
    return ranking.head(book, flow)
  end
  local from = list.from
  if list[from] == member then
    from = from + 1
    list.from = from
  else
    for i = from + 1, #list do
      if list[i] == member then
        table.remove(list, i)
        break
      end
    end
  end
  return list[from]
end

local function save_order(book, r)
  local written, n = {}, 0
  for member, score in pairs(r.put) do
    written[n + 1], written[n + 2], n = exact(score), member, n + 2
  end
  if n > 0 then
    call_many('ZADD', book.wait, written)
    r.first = false
  end
  r.put, r.size = EMPTY, 0
end

local function save_lists(book, r)
  for flow, list in pairs(r.lists) do
    local head, members, n = list[list.from], {}, 0
    if head then
      for i = list.from, #list do
        members[n + 1], members[n + 2], n = '0', list[i], n + 2
      end
      call_many('ZADD', book.flow .. flow, members)
      expire(book.flow .. flow)
    end
    note_head(r, flow, head or false)
  end
  r.lists = EMPTY
end

local function save_idle(book, r)
  local idle, gone, at = nil, nil, exact(now)
  for flow, rests in pairs(r.rested) do
    if not rests then
      if gone then gone[#gone + 1] = flow else gone = { flow } end
    elseif idle then
      local n = #idle
      idle[n + 1], idle[n + 2] = at, flow
    else
      idle = { at, flow }
    end
  end
  if gone then call_many('ZREM', book.idle, gone) end
  if idle then call_many('ZADD', book.idle, idle) end
  r.rested = EMPTY
end

-- Write all that was kept back of a book.
function ranking.save(book)
  local r = book.ranking
  if not r then return end
  if r.put ~= EMPTY then save_order(book, r) end
  if r.lists ~= EMPTY then save_lists(book, r) end
  if r.rested ~= EMPTY then save_idle(book, r) end
end

end
