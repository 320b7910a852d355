-- Who waits for a slot of a key, and whose turn it is: goes on where `slots.lua` ends.

-- The queue as it will be served: {place, whether it is in the bulk lane}, one after the other.
local function in_order()
  local order = {}
  local i, b, in_a_row = 1, 1, state.lane_debt
  while state.interactive[i] or state.bulk[b] do
    if state.bulk[b] and (not state.interactive[i] or in_a_row >= INTERACTIVE_IN_A_ROW) then
      order[#order + 1] = {state.bulk[b], true}
      in_a_row, b = in_a_row - INTERACTIVE_IN_A_ROW, b + 1
    else
      order[#order + 1] = {state.interactive[i], false}
      in_a_row, i = in_a_row + 1, i + 1
    end
  end
  return order
end

local function keep(stays)
  for _, lane in ipairs({'interactive', 'bulk'}) do
    local kept = {}
    for _, place in ipairs(state[lane]) do
      if stays(place) then
        kept[#kept + 1] = place
      end
    end
    state[lane] = kept
  end
  local least = math.min(0, INTERACTIVE_IN_A_ROW - #state.interactive)
  local most = INTERACTIVE_IN_A_ROW * #state.bulk
  state.lane_debt = math.min(math.max(state.lane_debt, least), most)
end

local function keep_without(gone)
  keep(function(place) return not gone[place[TICKET]] end)
end

local function forget()
  forget_slots()
  keep(function(place) return state.heartbeats[place[P_OWNER]] end)
end

local function end_of_the_first(lane)
  local first = 0
  for _, place in ipairs(lane) do
    if place[P_FIRST] then
      first = first + 1
    end
  end
  return first
end

local function join()
  local known = {}
  for _, entry in ipairs(in_order()) do
    known[entry[1][TICKET]] = true
  end
  for _, new in ipairs(visit[V_JOINS]) do
    local ticket = new[TICKET]
    if state.leases[ticket] then
      state.leases[ticket] = new_flying()
    elseif not known[ticket] then
      known[ticket] = true
      local lane = new[J_BULK] and state.bulk or state.interactive
      local before = new[J_FIRST] and end_of_the_first(lane) or #lane
      table.insert(lane, before + 1, {ticket, visit[V_OWNER], new[J_FIRST]})
    end
  end
end

local function leave()
  local gone = {}
  for _, ticket in ipairs(visit[V_LEAVES]) do
    gone[ticket] = true
    local opened = state.probe == ticket
    if land(ticket) and not opened then
      note_uncounted()
    end
  end
  keep_without(gone)
end

local function free()
  if state.now < state.closed_until or (state.half_open and state.probe ~= '') then
    return 0
  end
  local least = state.half_open and 1 or math.huge
  for _, limit in ipairs(state.limits) do
    least = math.min(least, calls_of(limit) - taken(limit))
  end
  return least
end

local function grant()
  local slots, new, gone = free(), {}, {}
  for index, entry in ipairs(in_order()) do
    local place, bulky = entry[1], entry[2]
    if index <= slots and place[P_OWNER] == visit[V_OWNER] then
      local ticket = place[TICKET]
      new[#new + 1], gone[ticket] = ticket, true
      state.lane_debt = state.lane_debt + (bulky and -INTERACTIVE_IN_A_ROW or 1)
      state.leases[ticket] = new_flying()
      if state.half_open then
        state.probe = ticket
      end
    end
  end
  keep_without(gone)
  return new, gone
end

-- All slots of the visitor, the new ones last and in their order.
local function granted(new, are_new)
  local tickets = {}
  for ticket, slot in pairs(state.leases) do
    if slot[F_OWNER] == visit[V_OWNER] and not are_new[ticket] then
      tickets[#tickets + 1] = ticket
    end
  end
  for _, ticket in ipairs(new) do
    tickets[#tickets + 1] = ticket
  end
  return tickets
end

local function places()
  local found = {}
  for index, entry in ipairs(in_order()) do
    if entry[1][P_OWNER] == visit[V_OWNER] then
      found[entry[1][TICKET]] = index - 1
    end
  end
  return found
end

local function free_in(limit)
  local returns, seconds = busy(limit), {}
  local idle = calls_of(limit) - size(state.leases) - #returns
  for _ = 1, idle do
    seconds[#seconds + 1] = 0
  end
  for index = 1 + math.max(0, -idle), #returns do
    seconds[#seconds + 1] = returns[index]
  end
  return seconds
end

local function each_limit(tell)
  local told = {}
  for index, limit in ipairs(state.limits) do
    told[index] = tell(limit)
  end
  return told
end

local function in_use()
  return next(state.answered) or next(state.leases) or state.interactive[1] or state.bulk[1]
end

-- Whether the state is for the visitor's limits, or may become so.
local function suits()
  local wanted, same = visit[V_LIMITS], #visit[V_LIMITS] == #state.limits
  for index, limit in ipairs(state.limits) do
    same = same and limit[CALLS] == wanted[index][CALLS] and limit[HOLD] == wanted[index][HOLD]
  end
  if not same then
    forget()
    if in_use() then
      return false
    end
    state.limits, state.share = wanted, nil
  end
  return true
end

local function attend()
  state.heartbeats[visit[V_OWNER]] = state.now
  forget()
  remember()
  for _, settled in ipairs(visit[V_SETTLED]) do
    settle(settled)
  end
  join()
  leave()
  local new, are_new = grant()
  return {
    state.epoch,
    granted(new, are_new),
    places(),
    each_limit(free_in),
    each_limit(calls_of),
    size(state.leases),
    #state.interactive + #state.bulk,
    #state.bulk,
    math.max(0, state.closed_until - state.now),
    state.half_open,
    state.probe,
  }
end

