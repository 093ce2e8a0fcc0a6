-- A turn is taken; what is done about damage.

local function take_steps()
  for i = 1, #steps do
    local reply = steps[i]()
    if reply then return reply end
  end
end

-- The ledger begins a new epoch with nothing. All replicas that are known are woken, so
-- that they say at once what they have.
local function mend()
  for _, ids in ipairs({ redis.pcall('HKEYS', REPLICAS), redis.pcall('ZRANGE', LEASES, '0', '-1') }) do
    for _, id in ipairs(ids) do wake(id, '') end
  end
  save_root(math.max(epoch + 1, now))
end

-- One turn. Without arguments there is none: whoever asks so may take turns here.
local function take_turn(KEYS, ARGV)
  if #ARGV == 0 then return redis.status_reply('OK') end
  read_arguments(ARGV)
  local refused = open_root(KEYS[1], ARGV[1])
  if refused then return refused end
  lay_keys(root .. ':' .. format_number .. ':' .. exact(epoch))
  local fine, reply = pcall(take_steps)
  if fine then return reply end
  local text = type(reply) == 'table' and reply.err or tostring(reply)
  if not is_damage(text) then return redis.error_reply(text) end
  mend()
  return redis.error_reply('DAMAGED ' .. text)
end
