#!lua flags=allow-oom
-- The server's side of the protocol: one script, one run per request.
-- KEYS[1]: hash of members, `...m`; the hash of a scope is `...s:` and its key.
-- ARGV: mode, number, session, incarnation, knows, ms from beat to beat, ms to be dead,
-- then what the mode needs. An incarnation keeps the ms to be dead with which it began.
-- Of a member with number n the hash of members has: s session, a session with which its
-- record began, b last beat, k newest member that it knows, p published, i instance, n name.
-- e:n is expected to publish. A scope's hash has its incarnation, and a claim for each number.
local M, mode, number, session, incarnation, knows =
  KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local BEAT, DEAD = tonumber(ARGV[6]), tonumber(ARGV[7])
local SCOPE = string.sub(M, 1, -2) .. 's:'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local known = redis.call('HMGET', M, 'inc', 'last', 'spare', 'barrier', 'whole', 'begun',
  'searched', 'newest', 's:' .. number, 'k:' .. number, 'dead')
local inc, barrier, whole = known[1], known[4], known[5]
local last, spare = tonumber(known[2] or 0), tonumber(known[3] or 0)
local begun, searched = tonumber(known[6] or 0), tonumber(known[7] or 0)
local newest = tonumber(known[8] or 0)
DEAD = tonumber(known[11] or DEAD)

local function text(n) return string.format('%.0f', n) end

-- All members by number, and the numbers expected.
local function load()
  local members, expected, raw = {}, {}, redis.call('HGETALL', M)
  for i = 1, #raw, 2 do
    local field, n = string.match(raw[i], '^(%a):(%d+)$')
    if field == 'e' then
      expected[n] = true
    elseif field then
      members[n] = members[n] or {}
      members[n][field] = raw[i + 1]
    end
  end
  return members, expected
end

-- The numbers of members and of those expected, ascending.
local function list()
  local members, expected = load()
  local numbers = {}
  for n in pairs(members) do numbers[#numbers + 1] = tonumber(n) end
  for n in pairs(expected) do
    if not members[n] then numbers[#numbers + 1] = tonumber(n) end
  end
  table.sort(numbers)
  return numbers
end

-- Removes a member, and so all its claims: those of numbers without a record are void.
local function remove(n)
  redis.call('HDEL', M, 's:' .. n, 'a:' .. n, 'b:' .. n, 'k:' .. n, 'p:' .. n, 'i:' .. n,
    'n:' .. n, 'e:' .. n)
  newest = 0
  for _, member in pairs((load())) do newest = math.max(newest, tonumber(member.a)) end
  redis.call('HSET', M, 'newest', newest)
end

-- Buries the dead, once a beat.
local function search()
  if now - searched < BEAT then return end
  searched = now
  redis.call('HSET', M, 'searched', now)
  if now < spare then return end
  for n, member in pairs((load())) do
    if now - tonumber(member.b) > DEAD then remove(n) end
  end
end

-- Whether somebody has a claim, or may come and tell one.
local function anybody(members, expected)
  if next(expected) and now < math.max(spare, begun + DEAD) then return true end
  for _, member in pairs(members) do
    if now < spare or now - tonumber(member.b) <= DEAD then return true end
  end
  return false
end

-- Ends the barrier when its time has come.
local function seen()
  if barrier then
    local members, expected = load()
    if now >= math.max(spare, begun + DEAD) then
      for n in pairs(expected) do
        if not members[n] then
          redis.call('HDEL', M, 'e:' .. n)
          expected[n] = nil
        end
      end
      redis.call('HDEL', M, 'whole')
      whole = false
    end
    if not whole and not next(expected) then
      redis.call('HDEL', M, 'barrier')
      barrier = false
    end
  end
  return barrier and 1 or 0, newest
end

-- The server slept, or its clock was set: nobody is dead only because of that.
if inc then
  if now < last or now - last > 3 * BEAT then
    spare = now + DEAD
    redis.call('HSET', M, 'spare', spare)
  end
  if now < last then
    for n in pairs((load())) do redis.call('HSET', M, 'b:' .. n, now) end
    begun, searched = now, now
    redis.call('HSET', M, 'begun', now, 'searched', now)
  end
  redis.call('HSET', M, 'last', now)
end

-- ARGV from 8: next incarnation, instance, name, fingerprint, server, fresh, known ...
if mode == 'join' then
  local instance, name, fingerprint, server, fresh =
    ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13] == '1'
  local members, expected = load()
  local differs = inc and redis.call('HGET', M, 'fp') ~= fingerprint
  if differs then
    if anybody(members, expected) then return {'differs'} end
    -- The secret or a setting was changed on all nodes: the first one that comes begins anew.
    -- Another secret names scopes otherwise: nobody would ever touch the old ones.
    members, expected = {}, {}
    for _, key in ipairs(redis.call('KEYS', SCOPE .. '*')) do redis.call('DEL', key) end
  end
  if not inc or differs or redis.call('HGET', M, 'server') ~= server then
    -- A new incarnation: nothing is known but the numbers of those that had claims.
    local session_before = redis.call('HGET', M, 'next')
    DEAD = tonumber(ARGV[7])
    redis.call('DEL', M)
    for n in pairs(members) do expected[n] = true end
    whole = fresh and not next(expected)
    inc, barrier, begun, searched, spare, newest = ARGV[8], '1', now, now, 0, 0
    redis.call('HSET', M, 'inc', inc, 'server', server, 'fp', fingerprint, 'dead', DEAD,
      'barrier', 1, 'begun', now, 'last', now, 'spare', 0, 'searched', now, 'newest', 0)
    if session_before then redis.call('HSET', M, 'next', session_before) end
    if whole then redis.call('HSET', M, 'whole', 1) end
    for n in pairs(expected) do redis.call('HSET', M, 'e:' .. n, 1) end
    members = {}
  end
  local own
  for n, member in pairs(members) do
    if member.i == instance then
      own = n
    elseif member.n == name then
      -- After a sleep of the server those that live come within that time too.
      local seen_last = math.max(tonumber(member.b), spare - DEAD)
      if (now - seen_last) * 2 <= 5 * BEAT then return {'taken'} end
      remove(n)
      members[n] = nil
    end
  end
  if redis.call('HEXISTS', M, 'next') == 0 then
    redis.call('HSET', M, 'next', text(now * 1000))
  end
  local mine = redis.call('HINCRBY', M, 'next', 1)
  session = text(mine)
  -- A JOIN that comes late makes no second record of an instance. One without a record in its
  -- incarnation was given up: what it had claimed is void.
  if own then
    number = own
  elseif number == '0' or (incarnation == inc and not members[number]) then
    number = session
  end
  if not members[number] then
    newest = math.max(newest, mine)
    members[number] = {}
    redis.call('HSET', M, 'i:' .. number, instance, 'n:' .. number, name, 'a:' .. number, session,
      'k:' .. number, session, 'newest', newest)
  end
  redis.call('HSET', M, 's:' .. number, session, 'b:' .. number, now)
  if barrier then
    local function expect(n)
      if not (members[n] and members[n].p) then redis.call('HSET', M, 'e:' .. n, 1) end
    end
    for i = 14, #ARGV do expect(ARGV[i]) end
    expect(number)
    if not fresh then
      redis.call('HDEL', M, 'whole')
      whole = false
    end
  end
  local waits, news = seen()
  return {'joined', number, session, inc, waits, news, list()}
end

if not inc or inc ~= incarnation then return {'rejoin'} end
if known[9] ~= session then return {'fenced'} end
-- A node has two connections: what it said later may come first.
if tonumber(knows) > tonumber(known[10]) then redis.call('HSET', M, 'k:' .. number, knows) end

if mode == 'beat' then
  redis.call('HSET', M, 'b:' .. number, now)
  search()
  local waits, news = seen()
  return {'beaten', waits, news, list()}
end

if mode == 'published' then
  local members = load()
  for n, member in pairs(members) do
    if n ~= number and tonumber(member.k) < tonumber(members[number].a) then
      search()
      return {'unknown', seen()}
    end
  end
  redis.call('HDEL', M, 'e:' .. number)
  redis.call('HSET', M, 'p:' .. number, 1)
  return {'member', seen()}
end

if mode == 'leave' then
  remove(number)
  return {'left'}
end

-- Each scope is read once. One of another incarnation is empty.
local scopes = {}
local function scope(key)
  local claims = scopes[key]
  if claims then return claims end
  claims = {}
  local raw = redis.call('HGETALL', SCOPE .. key)
  local stale = #raw > 0
  for i = 1, #raw, 2 do
    if raw[i] == 'inc' then
      stale = raw[i + 1] ~= inc
    else
      claims[raw[i]] = tonumber(raw[i + 1])
    end
  end
  if stale then
    redis.call('DEL', SCOPE .. key)
    claims = {}
  end
  scopes[key] = claims
  return claims
end

local function set(key, n, slots)
  local claims = scope(key)
  if slots > 0 then
    if next(claims) then
      redis.call('HSET', SCOPE .. key, n, slots)
    else
      redis.call('HSET', SCOPE .. key, 'inc', inc, n, slots)
    end
    claims[n] = slots
  elseif claims[n] then
    claims[n] = nil
    if next(claims) then
      redis.call('HDEL', SCOPE .. key, n)
    else
      redis.call('DEL', SCOPE .. key)
    end
  end
end

local function total(key)
  local sum = 0
  for _, slots in pairs(scope(key)) do sum = sum + slots end
  return sum
end

-- ARGV from 8: key, slots ...
if mode == 'publish' then
  for i = 8, #ARGV - 1, 2 do set(ARGV[i], number, tonumber(ARGV[i + 1])) end
  return {'set'}
end

-- A batch. ARGV from 8: number of lowers, of forces, of takes; for each lower and each force
-- key and slots; for each take the number of its scopes, for each of them key and limit.
local at, changes, takes = 11, {}, {}
for i = 1, ARGV[8] + ARGV[9] do
  local key, slots = ARGV[at], tonumber(ARGV[at + 1])
  local claim = scope(key)[number] or 0
  if i <= tonumber(ARGV[8]) then
    slots = math.min(claim, slots)
  else
    slots = math.max(claim, slots)
  end
  set(key, number, slots)
  changes[i] = slots
  at = at + 2
end

local full = {}
local function is_full(key, limit)
  if total(key) < limit then return false end
  if not full[key] then
    full[key] = true
    search()
    for n in pairs(scope(key)) do
      if redis.call('HEXISTS', M, 's:' .. n) == 0 then set(key, n, 0) end
    end
  end
  return total(key) >= limit
end

local waits = seen()
for i = 1, tonumber(ARGV[10]) do
  local first, count = at + 1, tonumber(ARGV[at])
  at = at + 1 + 2 * count
  local answer
  if waits == 1 then
    answer = {2}
  else
    for j = 1, count do
      local key, limit = ARGV[first + 2 * (j - 1)], tonumber(ARGV[first + 2 * j - 1])
      if is_full(key, limit) then
        answer = {0, j - 1, total(key)}
        break
      end
    end
  end
  if not answer then
    answer = {1}
    for j = 1, count do
      local key = ARGV[first + 2 * (j - 1)]
      local slots = (scope(key)[number] or 0) + 1
      set(key, number, slots)
      answer[j + 1] = slots
    end
  end
  takes[i] = answer
end
local barred, news = seen()
return {'batch', barred, news, changes, takes}
