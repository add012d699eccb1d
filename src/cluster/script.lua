#!lua flags=allow-oom
-- The server's side of the protocol: one script, one run per request.
-- KEYS[1]: hash of members, `...m`; the others are the scopes that the request names, `...s:` and
-- their keys, none of them twice. ARGV: mode, number, session, incarnation, knows, ms from beat to
-- beat, ms to be dead, then what the mode needs. An incarnation keeps the ms to be dead with which
-- it began.
-- Of a member with number n the hash of members has: s session, a session with which its
-- record began, b last beat, k newest member that it knows, p published, i instance, n name.
-- e:n is expected to publish. A scope is a text: its incarnation, and ` number=slots` for each claim.
local M, mode, number, session, incarnation, knows =
  KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local BEAT, DEAD = tonumber(ARGV[6]), tonumber(ARGV[7])
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
    local scopes = string.sub(M, 1, -2) .. 's:*'
    for _, key in ipairs(redis.call('KEYS', scopes)) do redis.call('DEL', key) end
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
if knows ~= known[10] and tonumber(knows) > tonumber(known[10]) then
  redis.call('HSET', M, 'k:' .. number, knows)
end

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

-- Commands and tables cost more than all else here: so all scopes are read by one command and
-- written by one or two, and there is no table for each. A scope has a place among the keys, from 1; the
-- node's own claim in it; the sum of those of others, and their text. One of another incarnation is
-- empty.
local texts = #KEYS > 1 and redis.call('MGET', unpack(KEYS, 2)) or {}
local own, others, rest, changed = {}, {}, {}, {}
local head = inc .. ' '
for place, scope in ipairs(texts) do
  local mine, sum, theirs = 0, 0, ''
  local is_ours = scope and string.sub(scope, 1, #head) == head
  if is_ours then
    for n, slots in string.gmatch(scope, ' (%d+)=(%d+)') do
      if n == number then
        mine = tonumber(slots)
      else
        sum = sum + tonumber(slots)
        theirs = theirs .. ' ' .. n .. '=' .. slots
      end
    end
  end
  own[place], others[place], rest[place], changed[place] = mine, sum, theirs, scope and not is_ours
end

local function claim(place, slots)
  if own[place] ~= slots then
    own[place] = slots
    changed[place] = true
  end
  return slots
end

-- Removes claims of numbers without a record.
local function purge(place)
  local sum, theirs = 0, ''
  for n, slots in string.gmatch(rest[place], ' (%d+)=(%d+)') do
    if redis.call('HEXISTS', M, 's:' .. n) == 1 then
      sum = sum + tonumber(slots)
      theirs = theirs .. ' ' .. n .. '=' .. slots
    else
      changed[place] = true
    end
  end
  others[place], rest[place] = sum, theirs
  if redis.call('HEXISTS', M, 's:' .. number) == 0 then claim(place, 0) end
end

local function write()
  local set, gone = {}, {}
  for place = 1, #texts do
    if changed[place] then
      local key, claims = KEYS[place + 1], rest[place]
      if own[place] > 0 then claims = claims .. ' ' .. number .. '=' .. own[place] end
      if claims ~= '' then
        set[#set + 1] = key
        set[#set + 1] = inc .. claims
      else
        gone[#gone + 1] = key
      end
    end
  end
  if #set > 0 then redis.call('MSET', unpack(set)) end
  if #gone > 0 then redis.call('DEL', unpack(gone)) end
end

-- ARGV[8]: numbers of 32 bits.
local numbers = {struct.unpack('<' .. string.rep('I4', #ARGV[8] / 4), ARGV[8])}

-- How many; for each place and slots.
if mode == 'publish' then
  for i = 2, 2 * numbers[1], 2 do claim(numbers[i], numbers[i + 1]) end
  write()
  return {'set'}
end

-- A batch: how many lowers, forces, takes; for each lower and each force place and slots; for each
-- take the number of its scopes, for each of them place and limit.
local at, changes = 4, {}
for i = 1, numbers[1] + numbers[2] do
  local place, slots = numbers[at], numbers[at + 1]
  if i <= numbers[1] then
    slots = math.min(own[place], slots)
  else
    slots = math.max(own[place], slots)
  end
  changes[i] = claim(place, slots)
  at = at + 2
end

local full = {}
local function is_full(place, limit)
  if own[place] + others[place] < limit then return false end
  if not full[place] then
    full[place] = true
    search()
    purge(place)
  end
  return own[place] + others[place] >= limit
end

-- For each take: 2; or 0, the first of its scopes that is full, from 0, and the claims in it; or 1,
-- the number of its scopes, and its claim in each.
local told, length = {}, 0
local function tell(n)
  length = length + 1
  told[length] = n
end
local waits = seen()
for _ = 1, numbers[3] do
  local count, full_one = numbers[at]
  if waits == 1 then
    tell(2)
  else
    for i = 1, count do
      if is_full(numbers[at + 2 * i - 1], numbers[at + 2 * i]) then
        full_one = i
        break
      end
    end
    if full_one then
      local place = numbers[at + 2 * full_one - 1]
      tell(0)
      tell(full_one - 1)
      tell(own[place] + others[place])
    else
      tell(1)
      tell(count)
      for i = 1, count do
        local place = numbers[at + 2 * i - 1]
        tell(claim(place, own[place] + 1))
      end
    end
  end
  at = at + 1 + 2 * count
end
write()
local barred, news = seen()
return {'batch', barred, news, changes, told}
