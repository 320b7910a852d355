"""The budget of one key as several processes share it, and what one synchronisation does to it.

A process sends a request with the outcomes of its calls and with its waiting calls. The response
has the slots that were granted to it, and what it needs to choose the time of its next request.
Everything here is arithmetic on a state that the store locks, loads and saves: no clock, no wait,
no I/O. The files in `lua/` do the same for Redis; a test compares both on the same histories.

The rule is that of `slot_ledger`: a slot is taken from the send until W + guard after the answer. A
waiter gets a slot when more slots are free than waiters are before it, so a slow process delays
nobody and loses no turn. Processes can die, so two rules are added. A place in the queue expires
when its owner was silent for `OWNER_TTL`. A slot in flight whose owner died returns one timeout,
one window and one guard after its grant.

A request whose response was lost may arrive again, late, or merged into the next one. What the
state has already changes nothing, and every response names all slots of the owner.

A store can lose its state (a server restarts, a file is deleted). A state therefore has an epoch,
and a request names the epoch that its process knows. When they differ, nobody sends for
`STATE_LOSS_PAUSE`, so that all processes can report again what they have sent.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator

import msgspec

from syncro_async.limiting.budget.foreign_usage import (
    OwnShare,
    decrement,
    recover,
    reduce_after_429,
)
from syncro_async.limiting.budget.lane_order import INTERACTIVE_IN_A_ROW
from syncro_async.limiting.protocol import LATE_ARRIVAL_GRACE
from syncro_async.limiting.shared.messages import (
    Limit,
    Outcome,
    SyncRequest,
    SyncResponse,
    other_limits,
)

# The longest time (s) between two requests of a process with calls that wait or are in flight.
HEARTBEAT = 0.5
OWNER_TTL = 2.0
# How long nobody may send after the loss of the state (s).
STATE_LOSS_PAUSE = 2 * HEARTBEAT


class QueueEntry(msgspec.Struct, array_like=True, frozen=True):
    """A waiting call in the queue."""

    lease_id: str
    owner: str
    requeued: bool


class Lease(msgspec.Struct, array_like=True, frozen=True):
    """A slot in flight; `expires_at` applies after the death of its owner.

    `booked_at_grant` + `BudgetState.booked_total` is how many of the slots that may be counted by
    now could be counted in the window of this one: those taken at its grant, and those booked
    since.
    """

    owner: str
    expires_at: float
    booked_at_grant: int


class BudgetState(msgspec.Struct):
    """Everything that is shared about one key.

    `now` is the time of the state: it follows `clock`, the last time of the store, and stops while
    that is behind. `answered` has one entry for each lease id, so that nothing counts twice.
    `lane_debt` is how many interactive calls were granted since the last turn of the bulk lane. It
    can have any value, because calls can be granted before their turn.
    """

    limits: list[Limit]
    epoch: str
    clock: float
    now: float
    created_at: float
    answered: dict[str, float] = {}
    leases: dict[str, Lease] = {}
    interactive: list[QueueEntry] = []
    bulk: list[QueueEntry] = []
    heartbeats: dict[str, float] = {}
    closed_until: float = 0.0
    half_open: bool = False
    probe: str = ""
    lane_debt: int = 0
    booked_total: int = 0
    share: OwnShare | None = None


def state_for(state: BudgetState | None, request: SyncRequest, clock: float) -> BudgetState:
    """The state for this request: that of the store, or a new one.

    Raises `ConfigurationError` when it was made with other limits and is in use.
    """
    if state is None:
        return BudgetState(
            limits=request.limits, epoch=request.name, clock=clock, now=clock, created_at=clock
        )
    if state.limits != request.limits:
        _advance(state, clock)
        _expire(state)
        if state.answered or state.leases or state.interactive or state.bulk:
            raise other_limits(state.limits)
        state.limits, state.share = request.limits, None
    return state


def sync(state: BudgetState, request: SyncRequest, clock: float) -> SyncResponse:
    """Apply the reports of a process, grant the slots that are its turn, and respond.

    `clock` is the time of the store (s).
    """
    _advance(state, clock)
    state.heartbeats[request.owner] = state.now
    _expire(state)
    _restore(state, request)
    for settled in request.outcomes:
        _record_outcome(state, settled)
    _join(state, request)
    _leave(state, request.leaves)
    _grant(state, request)
    return SyncResponse(
        epoch=state.epoch,
        granted=[
            lease_id for lease_id, slot in state.leases.items() if slot.owner == request.owner
        ],
        positions={
            place.lease_id: before
            for before, (place, _) in enumerate(_in_order(state))
            if place.owner == request.owner
        },
        seconds_until_free=[_free_in(state, limit) for limit in state.limits],
        limits=[_calls(state, limit) for limit in state.limits],
        leases_held=len(state.leases),
        waiting=len(state.interactive) + len(state.bulk),
        waiting_bulk=len(state.bulk),
        gate_closed_for=max(0.0, state.closed_until - state.now),
        half_open=state.half_open,
        probe=state.probe,
    )


def _advance(state: BudgetState, clock: float) -> None:
    state.now += max(0.0, clock - state.clock)
    state.clock = clock


def _expire(state: BudgetState) -> None:
    """Drop what no longer counts: old answers, places of dead owners, and their overdue slots."""
    oldest = state.now - _longest(state).hold_seconds
    state.answered = {lease_id: at for lease_id, at in state.answered.items() if at > oldest}
    since = state.now - OWNER_TTL
    alive = state.heartbeats = {owner: at for owner, at in state.heartbeats.items() if at > since}
    if state.probe and state.leases[state.probe].owner not in alive:
        state.probe = ""
    state.leases = {
        lease_id: slot
        for lease_id, slot in state.leases.items()
        if slot.owner in alive or slot.expires_at > state.now
    }
    _keep(state, lambda place: place.owner in alive)
    longest = _longest(state)
    state.share = recover(state.share, longest.calls, longest.hold_seconds, state.now)


def _restore(state: BudgetState, request: SyncRequest) -> None:
    """Add what the process reports and the state does not have."""
    if request.epoch not in {"", state.epoch}:
        state.closed_until = max(state.closed_until, state.now + STATE_LOSS_PAUSE)
    for lease_id in request.held:
        if lease_id not in state.leases and lease_id not in state.answered:
            state.leases[lease_id] = _new_lease(state, request)


def _record_outcome(state: BudgetState, settled: Outcome) -> None:
    opened = state.probe == settled.lease_id
    slot = _end_lease(state, settled.lease_id)
    if settled.kind == "answered":
        _count(state, settled.lease_id, state.now - settled.seconds)
        if slot is not None:
            _count_foreign(state, settled, slot.booked_at_grant + state.booked_total)
        if opened:
            # A 429 to a call that was sent earlier may have started a new pause.
            state.half_open = state.now < state.closed_until
        return
    if settled.kind == "lost":
        _count(state, settled.lease_id, state.now - settled.seconds + LATE_ARRIVAL_GRACE)
        return
    if slot is not None and not opened:
        _note_uncounted(state)
    if settled.kind == "refused":
        _refuse(state, settled.seconds)


def _note_uncounted(state: BudgetState) -> None:
    """Learn from a slot that the server did not count, during the probe of a pause."""
    if state.half_open:
        state.share = decrement(state.share)


def _count(state: BudgetState, lease_id: str, at: float) -> None:
    state.answered.setdefault(lease_id, at)


def _count_foreign(state: BudgetState, settled: Outcome, ours: int) -> None:
    """Book as many slots as the server must have counted for other clients."""
    if settled.remaining < 0:
        return
    foreign = _calls(state, _longest(state)) - settled.remaining - ours
    for number in range(foreign):
        state.booked_total += 1
        _count(state, f"{settled.lease_id}/{number}", state.now - settled.seconds)


def _refuse(state: BudgetState, pause: float) -> None:
    again = state.half_open
    state.closed_until = max(state.closed_until, state.now + pause)
    state.half_open = True
    limit = _longest(state)
    # In its first window the state does not have what was sent before.
    if not again and state.now - state.created_at > limit.hold_seconds:
        through, until = _taken(state, limit), state.closed_until
        state.share = reduce_after_429(
            state.share, limit.calls, limit.hold_seconds, through, until=until
        )


def _end_lease(state: BudgetState, lease_id: str) -> Lease | None:
    """End a slot in flight; after the end of a probe another call may be the probe."""
    if state.probe == lease_id:
        state.probe = ""
    return state.leases.pop(lease_id, None)


def _join(state: BudgetState, request: SyncRequest) -> None:
    known = {place.lease_id for place in [*state.interactive, *state.bulk]}
    for join in request.joins:
        if join.lease_id in state.leases:
            # The response with the grant was lost, so the call is sent only now.
            state.leases[join.lease_id] = _new_lease(state, request)
        elif join.lease_id not in known:
            known.add(join.lease_id)
            lane = state.bulk if join.bulk else state.interactive
            end = sum(place.requeued for place in lane) if join.requeued else len(lane)
            lane.insert(end, QueueEntry(join.lease_id, request.owner, join.requeued))


def _leave(state: BudgetState, lease_ids: list[str]) -> None:
    for lease_id in lease_ids:
        opened = state.probe == lease_id
        if _end_lease(state, lease_id) is not None and not opened:
            _note_uncounted(state)
    _keep_without(state, lease_ids)


def _keep_without(state: BudgetState, gone: Container[str]) -> None:
    _keep(state, lambda place: place.lease_id not in gone)


def _keep(state: BudgetState, stays: Callable[[QueueEntry], bool]) -> None:
    """Remove the other entries from the queue.

    The debt between the lanes is kept as far as it changes the order of the remaining entries.
    """
    state.interactive = [place for place in state.interactive if stays(place)]
    state.bulk = [place for place in state.bulk if stays(place)]
    least = min(0, INTERACTIVE_IN_A_ROW - len(state.interactive))
    most = INTERACTIVE_IN_A_ROW * len(state.bulk)
    state.lane_debt = min(max(state.lane_debt, least), most)


def _in_order(state: BudgetState) -> Iterator[tuple[QueueEntry, bool]]:
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


def _grant(state: BudgetState, request: SyncRequest) -> None:
    """Grant the calls of this process that have a free slot after all calls before them."""
    free = _free(state)
    turns = {
        place.lease_id: bulky
        for before, (place, bulky) in enumerate(_in_order(state))
        if before < free and place.owner == request.owner
    }
    for lease_id, bulky in turns.items():
        state.lane_debt += -INTERACTIVE_IN_A_ROW if bulky else 1
        state.leases[lease_id] = _new_lease(state, request)
        if state.half_open:
            state.probe = lease_id
    _keep_without(state, turns)


def _new_lease(state: BudgetState, request: SyncRequest) -> Lease:
    """A slot that is granted now, or reported as in flight."""
    longest = _longest(state)
    mark = _taken(state, longest) - state.booked_total
    state.booked_total += 1
    return Lease(request.owner, state.now + request.timeout + longest.hold_seconds, mark)


def _free(state: BudgetState) -> int:
    if state.now < state.closed_until or (state.half_open and state.probe):
        return 0
    free = min(_calls(state, limit) - _taken(state, limit) for limit in state.limits)
    return min(free, 1) if state.half_open else free


def _free_in(state: BudgetState, limit: Limit) -> list[float]:
    """In how many seconds each slot that is not in flight is free, the soonest first."""
    busy = sorted(_busy(state, limit))
    idle = _calls(state, limit) - len(state.leases) - len(busy)
    return [0.0] * idle + busy[max(0, -idle) :]


def _taken(state: BudgetState, limit: Limit) -> int:
    return len(state.leases) + len(_busy(state, limit))


def _busy(state: BudgetState, limit: Limit) -> list[float]:
    """In how many seconds each answered slot returns."""
    returns = [at + limit.hold_seconds - state.now for at in state.answered.values()]
    return [seconds for seconds in returns if seconds > 0.0]


def _calls(state: BudgetState, limit: Limit) -> int:
    """How many calls of that limit are ours; other clients are estimated in the longest."""
    if state.share is None or limit is not _longest(state):
        return limit.calls
    return state.share.calls


def _longest(state: BudgetState) -> Limit:
    return max(state.limits, key=lambda limit: limit.hold_seconds)
