-- Keeps overrides, each unless a later one of its name is kept, drops those that have run
-- out, and returns what is left.
-- KEYS: the hash of overrides: under each name "revision ends value".
-- ARGV: the time in milliseconds, or empty for the server's; how many may be kept; then of
-- each override its name, its revision (0 for a new one), how many milliseconds it holds,
-- and its value.

local key, now, most = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local entries = redis.pcall('HGETALL', key)
if entries.err then
  redis.call('DEL', key)
  entries = {}
end
local kept, count, last = {}, 0, now
for i = 1, #entries, 2 do
  local revision, ends, value = string.match(entries[i + 1], '^(%d+) (%d+) (.*)$')
  if revision and tonumber(ends) > now then
    kept[entries[i]] = { tonumber(revision), tonumber(ends), value }
    count = count + 1
    last = math.max(last, tonumber(ends))
  else
    redis.call('HDEL', key, entries[i])
  end
end

for i = 3, #ARGV, 4 do
  local name, revision, holds, value = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), ARGV[i + 3]
  local old = kept[name]
  if revision == 0 then
    revision = math.max(now, old and old[1] + 1 or 0)
  end
  if holds > 0 and not (old and old[1] >= revision) then
    if not old then
      if count >= most then
        return redis.error_reply('FULL')
      end
      count = count + 1
    end
    kept[name] = { revision, now + holds, value }
    last = math.max(last, now + holds)
    redis.call('HSET', key, name, string.format('%.0f %.0f %s', revision, now + holds, value))
    redis.call('PEXPIRE', key, string.format('%.0f', last - now + 1000))
  end
end

local answer = {}
for name, o in pairs(kept) do
  answer[#answer + 1] = name
  answer[#answer + 1] = string.format('%.0f', o[1])
  answer[#answer + 1] = string.format('%.0f', o[2] - now)
  answer[#answer + 1] = o[3]
end
return answer
