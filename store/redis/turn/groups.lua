-- Groups of flows. See store/memory/groups.go.
--
-- A group is kept as a book is, under the book's name with the group's path after a slash.
-- Where it is compared, the mark and the path stand for it: among the counters, the idle,
-- and those that wait.

do

local MARK = '\28'
local nodes  -- groups looked at so far, by name
local placed -- by name, whether a group has its place among its like, as far as it was looked at
step(function() nodes, placed = {}, {} end)

-- Whether a group is known where it is compared. One that has been idle for as long as a
-- counter is kept is not: its keys may have gone before they were forgotten.
local function is_known(parent, id)
  local idle_since = ranking.idle_since(parent, id)
  return idle_since and now - idle_since < settings.keep_for or ranking.score(parent, id)
end

-- Renew the TTLs of a group's keys, unless they are good for longer than a counter is kept,
-- which is from when the group is idle.
local function keep(node)
  if now >= node.kept and now - node.kept < (settings.ttl * 1000 - settings.keep_for) / 2 then return end
  for _, key in ipairs({ node.count, node.wait, node.idle }) do expire(key) end
  node.kept, node.moved = now, true
end
function groups.keep_all()
  for _, node in pairs(nodes) do keep(node) end
end

-- What a group is in: a book, or another group.
local function parent_of(node)
  node.parent = node.parent or books[node.outer] or groups.node(node.outer, false)
  if not node.parent then damaged('group', node.name) end
  return node.parent
end

local function mark_group_idle(node, parent)
  mark_idle(parent, node.id)
  keep(node)
end

-- The counter of a group, where it is compared with its like; nil for none.
local function counter_at(node) return node.known and node.counter or nil end
local function set_counter_at(node, counter)
  if not (node.known and node.counter == counter) then node.known, node.counter, node.moved = true, counter, true end
end

-- The group of that name; nil where there is none, unless it is to be made.
function groups.node(name, make)
  if nodes[name] then return nodes[name] end
  local known = cached_late(cached.groups, name)
  local top, path, outer
  if known then
    top, path, outer = known.top, known.path, known.outer
  else
    local head, size = match(name, '^(%-?%d+:(%d+):)')
    top = head and string.sub(name, 1, #head + tonumber(size))
    path = top and string.sub(name, #top + 2)
    outer = path and groups.name(top, match(path, '^(.*)/[^/]*$') or '')
  end
  local book = books[top]
  if not book or path == '' then return nil end
  local record = call('HGET', known and known.count or count_key(name), SENTINEL)
  if not record then
    local parent = books[outer] or groups.node(outer, make)
    if parent and is_known(parent, MARK .. path) then damaged('group', name) end
    if not make then return nil end
  end
  local node = record and take_late(cached.groups, name, record, 'group')
  local kept = node or record and decode.group(record) or { v = 0, level = 0, weight = 0, share = 1, kept = 0, known = false, counter = 0 }
  if kept.share <= 0 then damaged('group', record) end
  node = node or { -- with all its fields at once: a table that grows costs more than what is in it
    text = record, v = kept.v, level = kept.level, weight = kept.weight, share = kept.share, kept = kept.kept, known = kept.known, counter = kept.counter,
    top = top, path = path, id = MARK .. path, outer = outer, parent = false, moved = false,
    counts = false, lifts = false, priority = book.priority, policy = book.policy, scale = 1,
    name = false, wait = '', idle = '', count = '', flow = '', counters = false, unsaved = false, ranking = false,
  }
  node.parent = books[outer] or nodes[outer] or false
  node.counts, node.lifts, node.scale = book.counts, book.lifts, book.scale
  lay_out(name, node)
  local most = MOST * node.scale
  if not (node.counter < most and node.counter > -most) then damaged('group', name) end
  nodes[name] = node
  if not record then
    hold(node)
    mark_group_idle(node, parent_of(node))
  elseif recount or stated.full then
    if hold(node) > 0 then damaged('group', name) end -- a key of it was lost
    keep(node)
  end
  return node
end

-- The group of that path in a book, made if there is none, or the book.
function groups.open(book, path) return path == '' and books[book] or groups.node(book .. '/' .. path, true) end
function groups.name(book, path) return path == '' and book or book .. '/' .. path end

-- The group that an id stands for in a book, or in another group; nil for a flow's.
function groups.inside(book, id)
  if string.byte(id) ~= 28 then return nil end
  return groups.node((book.top or book.name) .. '/' .. string.sub(id, 2), true)
end

-- The groups in a book, or in another group.
function groups.list(book)
  ranking.save(book)
  local list = {}
  for _, key in ipairs({ book.wait, book.idle }) do
    for _, id in ipairs(call('ZRANGE', key, '0', '-1')) do
      local group = groups.inside(book, id)
      if group then insert(list, group) end
    end
  end
  return list
end

-- Whether a book has a group with a counter.
function groups.are_known(book)
  for _, group in ipairs(groups.list(book)) do
    if group.known then return true end
  end
  return false
end

-- Bring the counter of a group back; see rebase.
function groups.bring_back(node, back)
  if not node.known then return end
  set_counter_at(node, node.counter * back)
  groups.place(node, node.counter)
end

-- Forget a group in a book, or in another group, and all that is in it. Nothing waits there,
-- and its keys may have gone.
function groups.forget(book, id)
  local name = (book.top or book.name) .. '/' .. string.sub(id, 2)
  local node = nodes[name]
  if node then
    ranking.save(node)
    node.known, node.counter = false, 0 -- the reply may name it
  end
  for _, inner in ipairs(call('ZRANGE', idle_key(name), '0', '-1')) do
    if string.byte(inner) == 28 then groups.forget(book, inner) end
  end
  call('DEL', count_key(name), wait_key(name), idle_key(name))
  nodes[name] = nil
end

-- All books, and the groups looked at.
function groups.all()
  local list, n = {}, 0
  for _, book in pairs(books) do
    n = n + 1
    list[n] = book
  end
  for _, node in pairs(nodes) do
    n = n + 1
    list[n] = node
  end
  return list
end
function groups.cache()
  for name, node in pairs(nodes) do cache_late(cached.groups, name, node) end
end
function groups.rescale()
  for _, node in pairs(nodes) do node.scale = books[node.top].scale end
end

-- Whether an offer stands in a group of a book or of another group, or in one in it that is
-- shut.
function groups.holds(book, id)
  local name = (book.top or book.name) .. '/' .. string.sub(id, 2)
  if nodes[name] then ranking.save(nodes[name]) end
  if call('ZCARD', wait_key(name)) > 1 then return true end
  for _, inner in ipairs(call('ZRANGE', idle_key(name), '0', '-1')) do
    if string.byte(inner) == 28 and groups.holds(book, inner) then return true end
  end
  return false
end

-- Whether nothing waits in a group; never for a book.
function groups.is_empty(node) return node.outer and ranking.is_empty(node) end

-- What a group is in, and whether it waits there.
groups.outer_of = parent_of
function groups.has_place(node) return ranking.score(parent_of(node), node.id) and true or false end

-- Put a group in its place if it waits.
function groups.place(node, counter) ranking.move_group(parent_of(node), node.id, counter) end

-- Put a group among its like when the first of its flows comes to wait; that many of the
-- groups from here outwards were idle in the eyes of the owner.
function groups.begin(node, idle)
  local parent = parent_of(node)
  local before, began = counter_at(node), groups.is_empty(parent)
  local counter = before or (began and parent.level or beginning(parent))
  if before and idle > 0 then counter = math.max(counter, parent.v) end
  set_counter_at(node, counter)
  unmark_idle(parent, node.id)
  ranking.begin_group(parent, node.id, counter)
  placed[node.name] = true
  weigh(parent, node.share)
  if began then groups.begin(parent, idle - 1) end
end

-- Note that nothing of a group stands any more, or that nothing in it may go, while offers
-- are standing.
function groups.rest(node, standing)
  local parent = parent_of(node)
  if not ranking.drop_group(parent, node.id) then return end -- it was shut
  placed[node.name] = false
  weigh(parent, -node.share)
  mark_group_idle(node, parent)
  if not standing then node.weight, node.moved = 0, true end -- whatever rounding left, and weights that changed meanwhile
  if ranking.is_empty(parent) then
    parent.weight = 0 -- whatever rounding left
    if parent.outer then groups.rest(parent) end
  end
end

-- What a grant of the offer is for the groups that its flow is in.
function groups.service(book, offer)
  if not book.outer then return 0 end
  return book.counts and tonumber(offer.charge) * offer.weight or 1
end

-- Charge the groups from here outwards, which wait, for a grant; of one that goes out of
-- turn, at most so many charges ahead. See store/memory/groups.go.
function groups.serve(node, service, kept)
  while node.outer do
    local parent = parent_of(node)
    local rank, charge = counter_at(node), service * node.scale / node.share
    if not rank then damaged('group', node.name) end
    local reached = rank
    if kept > 0 then
      local _, lowest = ranking.first(parent)
      reached = lowest
    end
    if reached > parent.v then parent.v, parent.moved = reached, true end
    if reached > parent.level then parent.level, parent.moved = reached, true end
    if rank > reached then charge = math.min(charge, math.max(0, parent.v + kept * charge - rank)) end
    set_counter_at(node, rank + charge)
    follow(parent, charge, rank + charge, node.share)
    groups.place(node, rank + charge)
    node = parent
  end
end

-- Correct what the groups from here outwards were charged; one that was forgotten begins
-- anew.
function groups.settle(node, service, follows)
  while node.outer do
    local parent = parent_of(node)
    local before = counter_at(node) or beginning(parent)
    local moved = service * node.scale / node.share
    set_counter_at(node, before + moved)
    if follows then correct(parent, moved, before + moved, node.share) end
    groups.place(node, before + moved)
    node = parent
  end
end

-- Charge the groups from here outwards for what was let go by float, of which the last was
-- so much.
function groups.spend(node, service, last)
  while node.outer do
    local parent = parent_of(node)
    local before, charge = counter_at(node), service * node.scale / node.share
    local value = before or beginning(parent)
    local waits = ranking.score(parent, node.id)
    if before and not waits then value = math.max(value, parent.v) end
    value = value + charge
    set_counter_at(node, value)
    reach(parent, value - last * node.scale / node.share)
    follow(parent, charge, value, node.share)
    if waits then groups.place(node, value) else mark_group_idle(node, parent) end
    node = parent
  end
end

-- Take in what a replica states of a group.
function groups.take(node, st)
  local parent, share = parent_of(node), st.share > 0 and st.share < FARTHEST and st.share or 1
  if share ~= node.share then
    if groups.has_place(node) then weigh(parent, share - node.share) end
    node.share, node.moved = share, true
  end
  if not stated.register then return end
  node.v = math.max(node.v, st.v * node.scale)
  node.level, node.moved = math.max(node.level, st.level * node.scale, node.v), true
  local counter, before = st.counter * node.scale, counter_at(node)
  if st.known and not (before and before >= counter) then
    set_counter_at(node, counter)
    groups.place(node, counter)
    if not before then mark_group_idle(node, parent) end
  end
end

-- How a stated group stands.
function groups.standing(st)
  local node = st.node
  if not (node and node.outer) then
    return { priority = st.priority, path = st.path, share = 1, known = false, counter = 0, v = 0, level = 0 }
  end
  return {
    priority = st.priority, path = st.path, share = node.share, known = node.known, counter = (counter_at(node) or 0) / node.scale,
    v = node.v / node.scale, level = node.level / node.scale,
  }
end

-- Whether something in the group of that path in a book may go: it has its place, and so has
-- what it is in.
function groups.waits(book, path)
  local name, outer = book .. '/' .. path, match(path, '^(.*)/[^/]*$')
  if placed[name] == nil then
    local around = book_at(outer and book .. '/' .. outer or book)
    placed[name] = around and ranking.score(around, MARK .. path) and true or false
  end
  return placed[name] and (not outer or groups.waits(book, outer))
end

-- Have nothing wait in a book, nor in the groups in it.
function groups.clear(book)
  placed = {}
  for _, group in ipairs(groups.list(book)) do
    if ranking.score(book, group.id) then mark_idle(book, group.id) end
    groups.clear(group)
  end
  for _, flow in ipairs(call('HKEYS', book.count)) do
    if flow ~= SENTINEL and call('DEL', book.flow .. flow) == 1 then mark_idle(book, flow) end
  end
  call('DEL', book.wait)
  ranking.save(book)
  ranking.forget(book)
  hold(book)
  expire(book.wait)
  book.weight, book.moved = 0, true
end

step(groups.rebase_all)

end
