-- One visit to the budget of one key: loads its state, attends the visit, saves the state.
--
-- KEYS[1]: where the key's state is. ARGV[1]: the visit. ARGV[2]: what the clock shows, in
-- seconds; empty: the server's own. Returns {1, ruling}, or {0, limits} when the state was made
-- with these and is in use. States, visits, rulings and limits are MessagePack. Numbers pass
-- through it without a loss.

local function clock()
  if ARGV[2] ~= '' then
    return tonumber(ARGV[2])
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- After how many seconds nothing in the state matters any more, if nobody comes.
local function matters_for()
  local last = math.max(state.closed_until, state.now + OWNER_LAPSES)
  for _, at in pairs(state.answered) do
    last = math.max(last, at + longest()[HOLD])
  end
  for _, slot in pairs(state.leases) do
    last = math.max(last, slot[LAPSES_AT])
  end
  if state.share then
    last = math.max(last, state.share[RAISE_AT])
  end
  return last - state.now
end

visit = cmsgpack.unpack(ARGV[1])
local shown = clock()
local stored = redis.call('GET', KEYS[1])
state = stored and cmsgpack.unpack(stored) or new_state(shown)
advance(shown)
if not suits() then
  return {0, cmsgpack.pack(state.limits)}
end
local ruling = attend()
redis.call(
  'SET', KEYS[1], cmsgpack.pack(state), 'PX', string.format('%.0f', math.ceil(matters_for() * 1000))
)
return {1, cmsgpack.pack(ruling)}
