-- Groups with a maximum, or a guarantee, whose requests in flight are counted. At their maximum
-- they are shut: they leave their places, while their offers stand. See store/memory/maxima.go.

do

local at_maximum -- by their paths; nil until they are looked at
local with_lost  -- by the lost, what they had of groups
step(function() at_maximum, with_lost = nil, {} end)

-- What stands for a group among those with limits, and the path of what does.
function groups.limited(path) return '\28' .. path end
function groups.path_of(id) return string.sub(id, 2) end

-- How many requests a group has in flight, without those of lost replicas: whether these are
-- still there is not known.
function groups.in_flight(id)
  local limit = limit_of(id)
  if not limit then return 0 end
  local n = limit.held
  for holder in pairs(lost) do
    local had = with_lost[holder] or {}
    with_lost[holder] = had
    had[id] = had[id] or tonumber(call('HGET', limited_key(holder), id) or 0)
    n = n - had[id]
  end
  return n
end
groups.look_at = look_at_limits

-- The group of that path and those that it is in, likewise, the innermost first.
function groups.around(path)
  local ids = {}
  while path and path ~= '' do
    insert(ids, groups.limited(path))
    path = match(path, '^(.*)/[^/]*$')
  end
  return ids
end

-- The group of that path in every book that has it.
local function everywhere(path)
  local list = {}
  for name in pairs(books) do insert(list, groups.node(name .. '/' .. path)) end
  return list
end

local function shut(path)
  at_maximum[path] = true
  for _, node in ipairs(everywhere(path)) do groups.rest(node, not groups.is_empty(node)) end
  order.look_at_all_again()
end

local function open(path)
  at_maximum[path] = nil
  for _, node in ipairs(everywhere(path)) do
    if not groups.is_empty(node) and not groups.has_place(node) then groups.begin(node, math.huge) end
  end
  order.look_at_all_again()
end

-- Shut the groups that are at their maximum, and open those that have room again. With a
-- statement that repeats all, also those that something lost the place of.
function groups.shut()
  if not at_maximum then
    at_maximum = {}
    for _, path in ipairs(split(fleet.shut_groups, ITEM)) do at_maximum[path] = true end
  end
  if not next(at_maximum) and not next(limits) then return end
  local ids, full, others = {}, {}, {}
  for path in pairs(at_maximum) do
    insert(ids, groups.limited(path))
    insert(others, path)
  end
  look_at_limits(ids)
  for id, limit in pairs(limits) do
    local path = string.byte(id) == 28 and string.sub(id, 2)
    if path and limit and not is_open(limit) then
      full[path] = true
    elseif path and stated.full and not at_maximum[path] then
      insert(others, path)
    end
  end
  ranking.sort(others)
  for _, path in ipairs(others) do
    if not full[path] then open(path) end
  end
  for path in pairs(full) do shut(path) end -- once all are open: a group that comes back brings those around it
end

-- Shut the first group from here outwards that is at its maximum, and return whether there
-- is one.
function groups.shut_around(node)
  while node.outer do
    local limit = limit_of(groups.limited(node.path))
    if limit and not is_open(limit) then
      shut(node.path)
      return true
    end
    node = groups.outer_of(node)
  end
  return false
end

-- Whether a flow in that book or group, or a group from there outwards, has limits of its own.
function groups.is_limited(node, flow)
  if limit_of(flow) then return true end
  for _, id in ipairs(groups.around(node.path)) do
    if limit_of(id) then return true end
  end
  return false
end

-- Count a grant in the groups from here outwards.
function groups.hold(node, ingress)
  while node.outer do
    local id = groups.limited(node.path)
    local limit = limit_of(id)
    if limit then
      order.note_granted(id, order.room_of(id) > 0, groups.in_flight(id))
      hold_granted(id, ingress)
      if not is_open(limit) then shut(node.path) end
    end
    node = groups.outer_of(node)
  end
end

function groups.save_shut()
  if not at_maximum or fleet.shut_groups == '' and not next(at_maximum) then return end
  local list = {}
  for path in pairs(at_maximum) do insert(list, path) end
  ranking.sort(list)
  fleet.shut_groups = concat(list, ITEM)
end

end
