"""The budget of one key as several processes share it: its structure, and what is free in it.

The rule is that of `slot_ledger`: a slot is taken from the send until W + guard after the answer.
Processes can die, so a lease also ends without an outcome: `OWNER_TTL` + timeout + W + guard after
the last heartbeat of its owner. A process that has not heard from the store for `OWNER_TTL` sends
nothing, so its last request was on its way before that and was counted within its timeout.

Everything here is arithmetic: no clock, no lock, no wait, no I/O. All times are seconds of
`BudgetState.now`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from syncro_async.limiting.budget.burst import BurstShape, available_at, refund, room, spend
from syncro_async.limiting.budget.foreign_usage import OwnShare
from syncro_async.limiting.budget.lane_queue import INTERACTIVE_IN_A_ROW
from syncro_async.limiting.budget.messages import Limit
from syncro_async.limiting.budget.pacing import (
    BulkPace,
    bulk_available_at,
    bulk_interval,
    note_bulk,
    return_bulk,
)

# The longest time (s) between two requests of a process with calls that wait, are in flight, or
# have slots that still count.
HEARTBEAT = 0.5
# A process that was silent for longer (s) loses its places in the queue and may not send.
OWNER_TTL = 2.0
# How long nobody may send after the loss of the state (s).
STATE_LOSS_PAUSE = 2 * HEARTBEAT


class QueueEntry(msgspec.Struct, array_like=True, frozen=True):
    """A waiting call in the queue."""

    lease_id: str
    owner: str
    requeued: bool


class Lease(msgspec.Struct, array_like=True, frozen=True):
    """A slot in flight.

    `timeout` is how long its request may last (s). `expires_at` applies while its owner is dead.
    `booked_at_grant` + `BudgetState.booked_total` is how many of the slots that may be counted by
    now could be counted in the window of this one: those taken at its grant, and those booked
    since. `bulk`: it was granted to the bulk lane.
    """

    owner: str
    timeout: float
    expires_at: float
    booked_at_grant: int
    bulk: bool = False


class Host(msgspec.Struct, array_like=True, frozen=True):
    """The host that wrote a state last: its boot, its machine, and its calendar time (s)."""

    boot: str
    machine: str
    wall: float


class BudgetState(msgspec.Struct):
    """Everything that is shared about one key.

    `now` is the time of the state, as it was when the clock of the store showed `clock`. `epoch`
    names the state since its last loss; `version` counts its writes, and `stamp` is random for
    each of them. `answered` has one entry for each lease id, so that nothing counts twice.
    `lane_debt` is how many interactive calls were granted since the last turn of the bulk lane. It
    can have any value, because calls can be granted before their turn. `awaited`: owners that
    must report after a loss before anything is free, each with the time when that ends. `tats`:
    for each limit the theoretical arrival time of its burst.
    """

    limits: list[Limit]
    epoch: str
    clock: float
    now: float
    created_at: float
    version: int = 0
    stamp: int = 0
    answered: dict[str, float] = {}
    leases: dict[str, Lease] = {}
    interactive: list[QueueEntry] = []
    bulk: list[QueueEntry] = []
    heartbeats: dict[str, float] = {}
    awaited: dict[str, float] = {}
    closed_until: float = 0.0
    half_open: bool = False
    probe: str = ""
    lane_debt: int = 0
    booked_total: int = 0
    share: OwnShare | None = None
    tats: list[float] = []
    pace: BulkPace = BulkPace()
    host: Host | None = None


def longest(state: BudgetState) -> Limit:
    """The limit with the longest window; other clients of the key are estimated in it."""
    return max(state.limits, key=lambda limit: limit.hold_seconds)


def own_calls(state: BudgetState, limit: Limit) -> int:
    """How many calls of that limit are ours."""
    if state.share is None or limit is not longest(state):
        return limit.calls
    return state.share.calls


def taken(state: BudgetState, limit: Limit) -> int:
    """How many slots of that limit are in flight or were answered lately."""
    return len(state.leases) + len(_busy(state, limit))


def free(state: BudgetState) -> int:
    """How many calls may be granted now."""
    if state.now < state.closed_until or state.awaited or (state.half_open and state.probe):
        return 0
    slots = min(own_calls(state, limit) - taken(state, limit) for limit in state.limits)
    bursts = [room(shape, tat, state.now) for shape, tat in bursts_of(state)]
    slots = min([slots, *bursts])
    return min(slots, 1) if state.half_open else slots


def free_in(state: BudgetState, limit: Limit) -> list[float]:
    """In how many seconds each slot that is not in flight is free, the soonest first."""
    busy = sorted(_busy(state, limit))
    idle = own_calls(state, limit) - len(state.leases) - len(busy)
    return [0.0] * idle + busy[max(0, -idle) :]


def closed_for(state: BudgetState) -> float:
    """For how many seconds nobody may send."""
    until = max([state.closed_until, *state.awaited.values()])
    return max(0.0, until - state.now)


def bursts_of(state: BudgetState) -> list[tuple[BurstShape, float]]:
    """The shape and the theoretical arrival time of each limit that has a burst."""
    tats = state.tats or [0.0] * len(state.limits)
    pairs = zip(state.limits, tats, strict=True)
    return [(limit.burst, tat) for limit, tat in pairs if limit.burst is not None]


def pace_interval(state: BudgetState) -> float:
    """The time (s) between two calls of a paced bulk lane."""
    return bulk_interval((own_calls(state, limit), limit.hold_seconds) for limit in state.limits)


def new_lease(state: BudgetState, owner: str, timeout: float, *, bulk: bool = False) -> Lease:
    """A slot that is granted now, or reported as in flight."""
    window = longest(state)
    mark = taken(state, window) - state.booked_total
    state.booked_total += 1
    return Lease(owner, timeout, state.now + lifetime(state, timeout), mark, bulk)


def lifetime(state: BudgetState, timeout: float) -> float:
    """How long after the last heartbeat of its owner a slot can still count (s)."""
    return OWNER_TTL + timeout + longest(state).hold_seconds


def start_lease(state: BudgetState, lease_id: str, lease: Lease) -> None:
    """Enter a granted slot, and count it in the bursts and in the pace of its lane."""
    state.leases[lease_id] = lease
    _set_tats(state, spend)
    if lease.bulk:
        state.pace = note_bulk(state.pace, state.now, pace_interval(state))


def return_unsent(state: BudgetState, lease: Lease) -> None:
    """Take a call that was not sent out of the bursts and of the pace of its lane."""
    _set_tats(state, lambda shape, tat, _: refund(shape, tat))
    if lease.bulk:
        state.pace = return_bulk(state.pace, pace_interval(state))


class Holds:
    """What lets a waiting call go only later, besides the slots: the bursts and the pace."""

    def __init__(self, state: BudgetState) -> None:
        self._now = state.now
        self._pace = state.pace
        self._interval = pace_interval(state)
        self._bursts = bursts_of(state)

    def bulk_wait(self, place: int) -> float:
        """In how many seconds the bulk call with so many bulk calls before it may be sent."""
        return bulk_available_at(self._pace, self._now, self._interval, place) - self._now

    def burst_wait(self, place: int) -> float:
        """In how many seconds the call with so many calls before it may be sent."""
        waits = [available_at(shape, tat, self._now, place) for shape, tat in self._bursts]
        return max(waits, default=self._now) - self._now


def in_order(state: BudgetState) -> Iterator[tuple[QueueEntry, bool]]:
    """The queue in the order of the grants; True for an entry of the bulk lane."""
    interactive, bulk, in_a_row = state.interactive, state.bulk, state.lane_debt
    i = b = 0
    while i < len(interactive) or b < len(bulk):
        bulks_turn = i == len(interactive) or in_a_row >= INTERACTIVE_IN_A_ROW
        if b < len(bulk) and bulks_turn:
            yield bulk[b], True
            b, in_a_row = b + 1, in_a_row - INTERACTIVE_IN_A_ROW
        else:
            yield interactive[i], False
            i, in_a_row = i + 1, in_a_row + 1


def keep_entries(state: BudgetState, stays: Callable[[QueueEntry], bool]) -> None:
    """Remove the other entries from the queue.

    The debt between the lanes is kept as far as it changes the order of the remaining entries.
    """
    state.interactive = [entry for entry in state.interactive if stays(entry)]
    state.bulk = [entry for entry in state.bulk if stays(entry)]
    least = min(0, INTERACTIVE_IN_A_ROW - len(state.interactive))
    most = INTERACTIVE_IN_A_ROW * len(state.bulk)
    state.lane_debt = min(max(state.lane_debt, least), most)


def _set_tats(state: BudgetState, change: Callable[[BurstShape, float, float], float]) -> None:
    if any(limit.burst for limit in state.limits):
        tats = state.tats or [0.0] * len(state.limits)
        state.tats = [
            tat if limit.burst is None else change(limit.burst, tat, state.now)
            for limit, tat in zip(state.limits, tats, strict=True)
        ]


def _busy(state: BudgetState, limit: Limit) -> list[float]:
    """In how many seconds each answered slot returns."""
    returns = [at + limit.hold_seconds - state.now for at in state.answered.values()]
    return [seconds for seconds in returns if seconds > 0.0]
