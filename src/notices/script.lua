#!lua
-- Keeps the newest notice of each name, and tells those that are new.
-- KEYS: hash of notices; the same by the number of their change; by their end; hash of numbers.
-- ARGV: identity if there is none yet, number from which on to read, most notices kept,
-- most that are read at a time; then for each notice told: name, end in ms, text.
-- The first 16 characters of an identity name the secret: a node with another one can prove
-- nothing that was told before, and would take it for forged.
local notices, changes, ends, numbers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local id = redis.call('HGET', numbers, 'id')
if not id or string.sub(id, 1, 16) ~= string.sub(ARGV[1], 1, 16) then
  redis.call('DEL', notices, changes, ends, numbers)
  redis.call('HSET', numbers, 'id', ARGV[1])
end
local function text(n) return string.format('%.0f', n) end

-- Of two of a name: the later one; of two that are as late the one that lifts, which has no line;
-- else the one that ends later.
local function order(what)
  local version, until_, line = string.match(what, '^(%d+) (%d+) %x+(.*)$')
  return tonumber(version), line == '' and 1 or 0, tonumber(until_)
end
local function is_newer(what, known)
  local version, lifts, until_ = order(what)
  local known_version, known_lifts, known_until = order(known)
  if version ~= known_version then return version > known_version end
  if lifts ~= known_lifts then return lifts > known_lifts end
  return until_ > known_until
end

for _, name in ipairs(redis.call('ZRANGE', ends, '-inf', text(now), 'BYSCORE', 'LIMIT', 0, 100)) do
  redis.call('HDEL', notices, name)
  redis.call('ZREM', changes, name)
  redis.call('ZREM', ends, name)
end

local left = 0
for i = 5, #ARGV - 2, 3 do
  local name, until_, what = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local known = redis.call('HGET', notices, name)
  if until_ <= now then
    -- It is over already.
  elseif known and not is_newer(what, known) then
    -- What is known is as new.
  elseif not known and not string.match(name, '^tables ') and not string.match(name, '^reload ')
    and redis.call('HLEN', notices) >= tonumber(ARGV[3]) then
    left = left + 1
  else
    local change = redis.call('HINCRBY', numbers, 'change', 1)
    redis.call('HSET', notices, name, what)
    redis.call('ZADD', changes, change, name)
    redis.call('ZADD', ends, text(until_), name)
  end
end

local new = redis.call('ZRANGE', changes, '(' .. ARGV[2], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[4],
  'WITHSCORES')
local told, reached = {}, ARGV[2]
for i = 1, #new, 2 do
  told[#told + 1] = new[i]
  told[#told + 1] = redis.call('HGET', notices, new[i])
  reached = new[i + 1]
end
local change = redis.call('HGET', numbers, 'change') or '0'
return {redis.call('HGET', numbers, 'id'), change, reached, text(now), left, told}
