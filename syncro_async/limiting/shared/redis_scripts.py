"""The Lua of the Redis store: reading a state, writing it when nobody else has, and job leases.

The scripts decide nothing about the budget. They only make the steps atomic that must not be
interrupted.
"""

from __future__ import annotations

# The server's time (s). A test gives another time instead.
_CLOCK = """
local function clock(given)
  if given ~= '' then return given end
  local time = redis.call('TIME')
  return string.format('%d.%06d', time[1], time[2])
end
"""

# KEYS: the state, the heartbeats of its owners. ARGV: the owner, '' or a time, how long the
# heartbeats are kept (ms). Returns the time, the state ('' without one), and the heartbeats.
READ = (
    _CLOCK
    + """
local now = clock(ARGV[2])
local state = redis.call('GET', KEYS[1])
local owners = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return {now, state or '', owners}
"""
)

# KEYS: the same. ARGV: the first line of the state that was read ('' without one), the time of
# the reading, '' or a time, the new state, how long it is kept (ms), how many owners are removed,
# these owners, and then a time and an owner for each heartbeat to set. Returns 1, or 0 when the
# state is another one by now, or more than a second has passed, or the clock went back.
COMPARE_AND_SET = (
    _CLOCK
    + """
local late = tonumber(clock(ARGV[3])) - tonumber(ARGV[2])
local head = redis.call('GETRANGE', KEYS[1], 0, math.max(#ARGV[1], 1) - 1)
if head ~= ARGV[1] or late < 0 or late > 1 then return 0 end
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
local last = 6 + ARGV[6]
for i = 7, last do redis.call('ZREM', KEYS[2], ARGV[i]) end
for i = last + 1, #ARGV, 2 do redis.call('ZADD', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 1
"""
)

# KEYS: the job lease, which is the holder, a space and the place. ARGV: holder, place, how
# long it lasts (ms; 0 releases it), and 1 when it is renewed. It is the rule of `job_lease.decide`;
# the server deletes a lease that has ended. Returns 0, or the rest of another one's lease (ms).
CLAIM_JOB = """
local mine = ARGV[1] .. ' ' .. ARGV[2]
local held = redis.call('GET', KEYS[1])
if held and held ~= mine then
  local place = string.sub(held, string.find(held, ' ', 1, true) + 1)
  if ARGV[4] == '1' or place ~= ARGV[2] then
    return math.max(redis.call('PTTL', KEYS[1]), 1)
  end
end
if ARGV[3] == '0' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], mine, 'PX', ARGV[3]) end
return 0
"""
