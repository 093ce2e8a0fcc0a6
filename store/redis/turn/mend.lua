-- A turn is taken; what is done about damage.

local fine, reply = pcall(turn)
if fine then return reply end
local text = type(reply) == 'table' and reply.err or tostring(reply)
if not is_damage(text) then return redis.error_reply(text) end

-- The ledger begins a new epoch with nothing. All replicas that are known are woken, so
-- that they say at once what they have.
for _, ids in ipairs({ redis.pcall('HKEYS', REPLICAS), redis.pcall('ZRANGE', LEASES, '0', '-1') }) do
  for _, id in ipairs(ids) do call(settings.publish, wake_channel(id), '') end
end
save_root(math.max(epoch + 1, now))
return redis.error_reply('DAMAGED ' .. text)
