-- The pool's root: which ledger is kept there, in which format.

local now, root, format_number
local epoch   -- when the ledger last began with nothing
local visited -- whether a replica of another version was refused of late

-- Whether an error says that what is kept is not what a turn wrote, rather than that
-- Redis cannot work at the time.
local function is_damage(text)
  for _, sign in ipairs({ 'damaged ', 'WRONGTYPE', 'attempt to ', 'cannot perform', 'bad argument', 'not an? ', 'NaN', 'overflow' }) do
    if match(text, sign) then return true end
  end
  return false
end

local function save_root(begun)
  call('HSET', root, 'format', format_number, 'until', exact(now + 2 * settings.lease), 'epoch', exact(begun))
  call('PEXPIRE', root, settings.ttl)
end

-- Wake a replica. A wake-up may be lost, also because this user may not publish: an error here would
-- end a turn that is written by half.
local function wake(id, text) redis.pcall(settings.publish, root .. ':' .. format_number .. ':wake:' .. id, text) end

-- Find out which ledger is kept. It answers if that is another version's.
--
-- A pool's ledger is kept in one format at a time. While replicas of another version
-- keep it in theirs, this one must do without; once none of them has taken a turn for
-- a lease, or the last of them took leave, it begins anew. That it was refused is noted
-- for the others, which say as long how many requests they hold: what is not known was
-- not said since.
local function open_root(key, format_stated)
  root, format_number, now = key, format_stated, tonumber(clock)
  if not now then
    local time = call('TIME')
    now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  end
  local keeper = redis.pcall('HMGET', root, 'format', 'until', 'epoch', 'refused', 'held')
  if keeper.err then
    if not is_damage(keeper.err) then return keeper end
    call('DEL', root)
    keeper = {}
  end
  local kept_until = tonumber(keeper[2] or nil) or 0
  local kept_by_others = keeper[1] and keeper[1] ~= format_number and (match(keeper[1], '^%x%x%x%x%x%x%x%x$') or keeper[1] == '1')
  local refused = tonumber(keeper[4] or nil) or 0
  visited = refused > now - settings.lease and refused <= now
  if kept_by_others and now < kept_until and kept_until < now + 600e6 then
    if not visited then call('HDEL', root, 'held') end
    call('HSET', root, 'refused', exact(now))
    return redis.error_reply('FORMAT ' .. keeper[1] .. ' ' .. (visited and keeper[5] or '-'))
  end
  epoch = keeper[1] == format_number and tonumber(keeper[3] or nil)
  if not (epoch and epoch >= 0 and epoch < LARGEST) then
    epoch = now
    save_root(epoch)
  elseif kept_until < now + settings.lease or kept_until > now + 2 * settings.lease then
    save_root(epoch)
  end
end
