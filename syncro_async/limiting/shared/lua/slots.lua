-- The slots of a key: what `state.py` does, in Redis's language. The reasons are given there.
--
-- `queue.lua` and `visit.lua` follow in the same script. Records are arrays, whose fields are
-- numbered here.

local LATE_ARRIVAL = 5.0
local OWNER_LAPSES = 2.0
local INTERACTIVE_IN_A_ROW = 4
local AMNESIA = 1.0
local MOST_PATIENT = 16

-- Visit
local V_OWNER, V_NAME, V_EPOCH, V_LIMITS, V_TIMEOUT = 1, 2, 3, 4, 5
local V_FLIES, V_JOINS, V_LEAVES, V_SETTLED = 6, 7, 8, 9
-- Limit
local CALLS, HOLD = 1, 2
-- Join, Place and Settled begin with it
local TICKET = 1
-- Join
local J_BULK, J_FIRST = 2, 3
-- Place
local P_OWNER, P_FIRST = 2, 3
-- Settled
local FATE, SECONDS, LEFT = 2, 3, 4
-- Flying
local F_OWNER, LAPSES_AT, MARK = 1, 2, 3
-- Share
local S_CALLS, LEAST, THROUGH, STEP, PATIENCE, RAISE_AT = 1, 2, 3, 4, 5, 6

local visit, state

local function new_state(shown)
  return {
    limits = visit[V_LIMITS], epoch = visit[V_NAME], clock = shown, now = shown, created_at = shown,
    answered = {}, leases = {}, interactive = {}, bulk = {}, heartbeats = {}, closed_until = 0,
    half_open = false, probe = '', lane_debt = 0, booked_total = 0,
  }
end

local function size(map)
  local entries = 0
  for _ in pairs(map) do
    entries = entries + 1
  end
  return entries
end

local function filtered(map, stays)
  local kept = {}
  for name, value in pairs(map) do
    if stays(value) then
      kept[name] = value
    end
  end
  return kept
end

local function longest()
  local found = state.limits[1]
  for _, limit in ipairs(state.limits) do
    if limit[HOLD] > found[HOLD] then
      found = limit
    end
  end
  return found
end

local function calls_of(limit)
  return state.share and limit == longest() and state.share[S_CALLS] or limit[CALLS]
end

-- In how many seconds each slot returns that was answered for, soonest first.
local function busy(limit)
  local returns = {}
  for _, at in pairs(state.answered) do
    local seconds = at + limit[HOLD] - state.now
    if seconds > 0 then
      returns[#returns + 1] = seconds
    end
  end
  table.sort(returns)
  return returns
end

local function taken(limit)
  return size(state.leases) + #busy(limit)
end

local function land(ticket)
  local slot = state.leases[ticket]
  state.leases[ticket] = nil
  if state.probe == ticket then
    state.probe = ''
  end
  return slot
end

local function new_flying()
  local limit = longest()
  local mark = taken(limit) - state.booked_total
  state.booked_total = state.booked_total + 1
  return {visit[V_OWNER], state.now + visit[V_TIMEOUT] + limit[HOLD], mark}
end

local function advance(shown)
  state.now = state.now + math.max(0, shown - state.clock)
  state.clock = shown
end

local function lowered(limit, through)
  local share = state.share
  if through == 0 then
    return share
  end
  local patience = share and math.min(2 * share[PATIENCE], MOST_PATIENT) or 1
  local most = share and share[S_CALLS] or limit[CALLS]
  local least = math.max(1, math.floor(most / 2))
  local fewer = math.max(least, math.min(most - 1, through))
  return {fewer, least, through, 1, patience, state.closed_until + patience * limit[HOLD]}
end

local function regrown(limit)
  local share = state.share
  while share and state.now >= share[RAISE_AT] do
    local more = share[S_CALLS] + share[STEP]
    local raise_at = share[RAISE_AT] + limit[HOLD]
    local later = {
      more, share[LEAST], share[THROUGH], 2 * share[STEP], share[PATIENCE], raise_at,
    }
    share = more < limit[CALLS] and later or nil
  end
  return share
end

local function forget_slots()
  local oldest, since = state.now - longest()[HOLD], state.now - OWNER_LAPSES
  state.answered = filtered(state.answered, function(at) return at > oldest end)
  state.heartbeats = filtered(state.heartbeats, function(at) return at > since end)
  if state.probe ~= '' and not state.heartbeats[state.leases[state.probe][F_OWNER]] then
    state.probe = ''
  end
  state.leases = filtered(state.leases, function(slot)
    return state.heartbeats[slot[F_OWNER]] or slot[LAPSES_AT] > state.now
  end)
  state.share = regrown(longest())
end

local function remember()
  if visit[V_EPOCH] ~= '' and visit[V_EPOCH] ~= state.epoch then
    state.closed_until = math.max(state.closed_until, state.now + AMNESIA)
  end
  for _, ticket in ipairs(visit[V_FLIES]) do
    if not state.leases[ticket] and not state.answered[ticket] then
      state.leases[ticket] = new_flying()
    end
  end
end

local function count(ticket, at)
  state.answered[ticket] = state.answered[ticket] or at
end

local function count_strangers(settled, ours)
  if settled[LEFT] < 0 then
    return
  end
  local strangers = calls_of(longest()) - settled[LEFT] - ours
  for number = 0, strangers - 1 do
    state.booked_total = state.booked_total + 1
    count(settled[TICKET] .. '/' .. number, state.now - settled[SECONDS])
  end
end

local function note_uncounted()
  local share = state.share
  if state.half_open and share then
    share[THROUGH] = share[THROUGH] - 1
    share[S_CALLS] = math.max(share[LEAST], math.min(share[S_CALLS], share[THROUGH]))
  end
end

local function refuse(pause)
  local again, limit = state.half_open, longest()
  state.closed_until = math.max(state.closed_until, state.now + pause)
  state.half_open = true
  if not again and state.now - state.created_at > limit[HOLD] then
    state.share = lowered(limit, taken(limit))
  end
end

local function settle(settled)
  local ticket, fate = settled[TICKET], settled[FATE]
  local opened = state.probe == ticket
  local slot = land(ticket)
  if fate == 'answered' then
    count(ticket, state.now - settled[SECONDS])
    if slot then
      count_strangers(settled, slot[MARK] + state.booked_total)
    end
    if opened then
      state.half_open = state.now < state.closed_until
    end
  elseif fate == 'lost' then
    count(ticket, state.now - settled[SECONDS] + LATE_ARRIVAL)
  else
    if slot and not opened then
      note_uncounted()
    end
    if fate == 'refused' then
      refuse(settled[SECONDS])
    end
  end
end

