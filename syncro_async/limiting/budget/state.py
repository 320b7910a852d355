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

from syncro_async.limiting.budget import pacing
from syncro_async.limiting.budget.burst import BurstShape, refund, room, spend
from syncro_async.limiting.budget.foreign_usage import OwnShare
from syncro_async.limiting.budget.lane_order import bounded, turns
from syncro_async.limiting.budget.messages import Limit
from syncro_async.limiting.budget.pause import PauseGate
from syncro_async.limiting.budget.slot_ledger import free_slots

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
    since.
    """

    owner: str
    timeout: float
    expires_at: float
    booked_at_grant: int


class Host(msgspec.Struct, array_like=True, frozen=True):
    """The host that wrote a state last: its boot, its machine, and its calendar time (s)."""

    boot: str
    machine: str
    wall: float


class BudgetState(msgspec.Struct):
    """Everything that is shared about one key.

    `now` is the time of the state, as it was when the clock of the store showed `clock`. `epoch`
    names the state since its last loss; `version` counts its writes, and `trail` has a random
    stamp for each of the last ones (see `stored_state`). `answered` has one entry for each lease
    id, so that nothing counts twice.
    `lane_debt` is how many interactive calls were granted since the last turn of the bulk lane. It
    can have any value, because calls can be granted before their turn. `awaited`: owners that
    must report after a loss before anything is free, each with the time when that ends. `tats`:
    for each limit the theoretical arrival time of its burst. `paced_until` and `next_at` belong to
    `pacing`. `has_left_little`: the last answer left so few calls that the next must confirm it.
    """

    limits: list[Limit]
    epoch: str
    clock: float
    now: float
    created_at: float
    version: int = 0
    trail: bytes = b""
    answered: dict[str, float] = {}
    leases: dict[str, Lease] = {}
    interactive: list[QueueEntry] = []
    bulk: list[QueueEntry] = []
    heartbeats: dict[str, float] = {}
    awaited: dict[str, float] = {}
    gate: PauseGate = msgspec.field(default_factory=PauseGate)
    lane_debt: int = 0
    booked_total: int = 0
    share: OwnShare | None = None
    tats: list[float] = []
    paced_until: float = 0.0
    next_at: float = 0.0
    has_left_little: bool = False
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
    if state.awaited:
        return 0
    slots = min(_free_of(state, limit) for limit in state.limits)
    bursts = [room(shape, tat, state.now) for shape, tat in bursts_of(state)]
    slots = min([slots, *bursts])
    return state.gate.available(state.now, slots)


def _free_of(state: BudgetState, limit: Limit) -> int:
    return free_slots(own_calls(state, limit), len(state.leases), len(_busy(state, limit)))


def free_in(state: BudgetState, limit: Limit) -> list[float]:
    """In how many seconds each slot that is not in flight is free, the soonest first."""
    busy = sorted(_busy(state, limit))
    idle = _free_of(state, limit)
    return [0.0] * idle + busy[max(0, -idle) :]


def closed_for(state: BudgetState) -> float:
    """For how many seconds nobody may send."""
    until = max([state.gate.closed_until, *state.awaited.values()])
    return max(0.0, until - state.now)


def bursts_of(state: BudgetState) -> list[tuple[BurstShape, float]]:
    """The shape and the theoretical arrival time of each limit that has a burst."""
    tats = state.tats or [0.0] * len(state.limits)
    pairs = zip(state.limits, tats, strict=True)
    return [(limit.burst, tat) for limit, tat in pairs if limit.burst is not None]


def pace_of(state: BudgetState) -> pacing.Pace:
    """The pace of the bulk lane."""
    return pacing.pace_of((own_calls(state, limit), limit.hold_seconds) for limit in state.limits)


def new_lease(state: BudgetState, owner: str, timeout: float) -> Lease:
    """A slot that is granted now, or reported as in flight."""
    window = longest(state)
    mark = taken(state, window) - state.booked_total
    state.booked_total += 1
    return Lease(owner, timeout, state.now + lifetime(state, timeout), mark)


def lifetime(state: BudgetState, timeout: float) -> float:
    """How long after the last heartbeat of its owner a slot can still count (s)."""
    return OWNER_TTL + timeout + longest(state).hold_seconds


def start_lease(state: BudgetState, lease_id: str, lease: Lease) -> None:
    """Enter a granted slot, and count it in the bursts and in the pace."""
    state.leases[lease_id] = lease
    _set_tats(state, spend)
    state.next_at = pacing.spend(pace_of(state), state.next_at, state.now)


def return_slot(state: BudgetState, *, arrived: bool) -> None:
    """Take a call that the server did not count out of the pace.

    `arrived`: it was refused by the server, so that the bursts count it all the same.
    """
    if not arrived:
        _set_tats(state, lambda shape, tat, _: refund(shape, tat))
    state.next_at = pacing.refund(pace_of(state), state.next_at)


def in_order(state: BudgetState, due: int | None = None) -> Iterator[tuple[QueueEntry, bool]]:
    """The queue in the order of the grants; True for an entry of the bulk lane.

    `due`: how many calls may go until a bulk call waits for the pace (None: as many as wait).
    """
    interactive, bulk = iter(state.interactive), iter(state.bulk)
    waiting = len(state.interactive), len(state.bulk)
    for bulks_turn in turns(*waiting, state.lane_debt, sum(waiting) if due is None else due):
        yield next(bulk if bulks_turn else interactive), bulks_turn


def keep_entries(state: BudgetState, stays: Callable[[QueueEntry], bool]) -> None:
    """Remove the other entries from the queue.

    The debt between the lanes is kept as far as it changes the order of the remaining entries.
    """
    state.interactive = [entry for entry in state.interactive if stays(entry)]
    state.bulk = [entry for entry in state.bulk if stays(entry)]
    waiting = {"interactive": len(state.interactive), "bulk": len(state.bulk)}
    state.lane_debt = bounded(state.lane_debt, pace_of(state).advance, **waiting)


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
