-- Adds a batch to what flows used in an hour, unless it was added before.
-- KEYS: a hash of the hour: under each flow's id, after "f", its figures; under each
-- writer, after "w", the number of its last batch.
-- ARGV: how long it is kept, in milliseconds; how many flows are told apart; the id of all
-- others; the writer, the number of the batch; then of each flow its id and six figures.

local key, kept, most, others, writer, number = KEYS[1], ARGV[1], tonumber(ARGV[2]), 'f' .. ARGV[3], 'w' .. ARGV[4], tonumber(ARGV[5])
local last = redis.pcall('HGET', key, writer)
if type(last) == 'table' and last.err then
  redis.call('DEL', key)
  last = false
end
if last and tonumber(last) and tonumber(last) >= number then
  return 0
end
redis.call('HSET', key, writer, ARGV[5])
local size = redis.call('HLEN', key)
for i = 6, #ARGV, 7 do
  local field = 'f' .. ARGV[i]
  local old = redis.call('HGET', key, field)
  if not old and size >= most then
    field = others
    old = redis.call('HGET', key, field)
  end
  if not old then
    size = size + 1
  end
  local sums, at = {}, 1
  for figure in string.gmatch(old or '', '%d+') do
    sums[at] = tonumber(figure)
    at = at + 1
  end
  for j = 1, 6 do
    sums[j] = string.format('%.0f', (sums[j] or 0) + tonumber(ARGV[i + j]))
  end
  redis.call('HSET', key, field, table.concat(sums, ' '))
end
redis.call('PEXPIRE', key, kept)
return 1
