"""The budget of one key as several processes share it: what a visit to it does.

A process visits the store (SQLite, Redis) with what happened to its calls and who waits, and
leaves with the slots it was given and with what it needs to know when to come again. Everything
here is arithmetic on a state that the store locks, loads and saves around it: no clock, no wait,
no I/O. The files in `lua/` say the same in Redis's language; one test leads both through the same
histories.

The rule is that of `slots`: a slot is taken from the send until W + guard after the answer. A
waiter may go when more slots are free than others wait before it: nobody waits for a process that
is late to come, and nobody's turn is taken. Two things are added because processes die. A waiting
place lapses when its owner was not seen for `OWNER_LAPSES`; a slot on the wire whose owner died
comes back one request timeout, one window and one guard after it was taken.

A visit whose answer was lost may be told again, also late, also merged into the next one: what
is known already changes nothing, and every answer names all the slots that the visitor has.

A store may forget everything (a server that restarts, a file that is deleted). A state therefore
has an epoch, and a visitor says which one it knows; one who knows another holds everybody up for
`AMNESIA`, long enough for all to come and tell again what they have sent.
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
from syncro_async.limiting.budget.lane_queue import INTERACTIVE_IN_A_ROW
from syncro_async.limiting.protocol import LATE_ARRIVAL_GRACE
from syncro_async.limiting.shared.messages import (
    Limit,
    Outcome,
    SyncRequest,
    SyncResponse,
    other_limits,
)

# A process with calls in the queue or on the wire comes at least this often (s).
HEARTBEAT = 0.5
OWNER_TTL = 2.0
# How long nobody may send after the store has forgotten everything (s).
STATE_LOSS_PAUSE = 2 * HEARTBEAT


class QueueEntry(msgspec.Struct, array_like=True, frozen=True):
    """Somebody in the queue."""

    lease_id: str
    owner: str
    requeued: bool


class Lease(msgspec.Struct, array_like=True, frozen=True):
    """A slot on the wire; `lapses_at` counts once its owner has died.

    `mark` + `KeyState.booked` is how many of the slots that may have been counted by now could be
    counted in this one's window: those taken when it was given, and those booked since.
    """

    owner: str
    expires_at: float
    booked_at_grant: int


class BudgetState(msgspec.Struct):
    """Everything that is shared about one key.

    `now` is its own time: it follows `clock`, what the store's clock showed last, and stands
    still when that jumps back. `answered` is by ticket, so that nothing counts twice. `in_a_row`
    is how many interactive calls went since bulk had its turn; calls that go before their turn
    comes, their owners being early, count for when it comes, so it may be any number.
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


def state_for(state: BudgetState | None, visit: SyncRequest, clock: float) -> BudgetState:
    """The state to attend the visit on: what the store has, or a new one.

    Raises `ConfigurationError` when it was made with other limits and is in use.
    """
    if state is None:
        return BudgetState(
            limits=visit.limits, epoch=visit.name, clock=clock, now=clock, created_at=clock
        )
    if state.limits != visit.limits:
        _advance(state, clock)
        _expire(state)
        if state.answered or state.leases or state.interactive or state.bulk:
            raise other_limits(state.limits)
        state.limits, state.share = visit.limits, None
    return state


def sync(state: BudgetState, visit: SyncRequest, clock: float) -> SyncResponse:
    """Let a process tell its news, give it the slots that are its turn, and answer it.

    `clock` is what the store's clock shows (s).
    """
    _advance(state, clock)
    state.heartbeats[visit.owner] = state.now
    _expire(state)
    _restore(state, visit)
    for settled in visit.outcomes:
        _record_outcome(state, settled)
    _join(state, visit)
    _leave(state, visit.leaves)
    _grant(state, visit)
    return SyncResponse(
        epoch=state.epoch,
        granted=[ticket for ticket, slot in state.leases.items() if slot.owner == visit.owner],
        positions={
            place.lease_id: before
            for before, (place, _) in enumerate(_in_order(state))
            if place.owner == visit.owner
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
    """Drop what no longer counts: old answers, dead owners' places, their overdue slots."""
    oldest = state.now - _longest(state).hold_seconds
    state.answered = {ticket: at for ticket, at in state.answered.items() if at > oldest}
    since = state.now - OWNER_TTL
    alive = state.heartbeats = {owner: at for owner, at in state.heartbeats.items() if at > since}
    if state.probe and state.leases[state.probe].owner not in alive:
        state.probe = ""
    state.leases = {
        ticket: slot
        for ticket, slot in state.leases.items()
        if slot.owner in alive or slot.expires_at > state.now
    }
    _keep(state, lambda place: place.owner in alive)
    longest = _longest(state)
    state.share = recover(state.share, longest.calls, longest.hold_seconds, state.now)


def _restore(state: BudgetState, visit: SyncRequest) -> None:
    """Take up what a visitor knows and the store has forgotten."""
    if visit.epoch not in {"", state.epoch}:
        state.closed_until = max(state.closed_until, state.now + STATE_LOSS_PAUSE)
    for ticket in visit.held:
        if ticket not in state.leases and ticket not in state.answered:
            state.leases[ticket] = _new_lease(state, visit)


def _record_outcome(state: BudgetState, settled: Outcome) -> None:
    opened = state.probe == settled.lease_id
    slot = _end_lease(state, settled.lease_id)
    if settled.kind == "answered":
        _count(state, settled.lease_id, state.now - settled.seconds)
        if slot is not None:
            _count_foreign(state, settled, slot.booked_at_grant + state.booked_total)
        if opened:
            # A 429 to a call sent before the pause may have closed the gate again meanwhile.
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
    """A slot was given for nothing; in a pause that says how much the server let through."""
    if state.half_open:
        state.share = decrement(state.share)


def _count(state: BudgetState, ticket: str, at: float) -> None:
    state.answered.setdefault(ticket, at)


def _count_foreign(state: BudgetState, settled: Outcome, ours: int) -> None:
    """Book as many slots as the server must have counted for somebody else."""
    if settled.remaining < 0:
        return
    strangers = _calls(state, _longest(state)) - settled.remaining - ours
    for number in range(strangers):
        state.booked_total += 1
        _count(state, f"{settled.lease_id}/{number}", state.now - settled.seconds)


def _refuse(state: BudgetState, pause: float) -> None:
    again = state.half_open
    state.closed_until = max(state.closed_until, state.now + pause)
    state.half_open = True
    limit = _longest(state)
    # In its first window the state does not know what was sent before.
    if not again and state.now - state.created_at > limit.hold_seconds:
        through, until = _taken(state, limit), state.closed_until
        state.share = reduce_after_429(
            state.share, limit.calls, limit.hold_seconds, through, until=until
        )


def _end_lease(state: BudgetState, ticket: str) -> Lease | None:
    """Take a slot off the wire; the opener's end lets another call try the gate."""
    if state.probe == ticket:
        state.probe = ""
    return state.leases.pop(ticket, None)


def _join(state: BudgetState, visit: SyncRequest) -> None:
    known = {place.lease_id for place in [*state.interactive, *state.bulk]}
    for join in visit.joins:
        if join.lease_id in state.leases:
            # It was given its slot unheard, so it will be sent only now.
            state.leases[join.lease_id] = _new_lease(state, visit)
        elif join.lease_id not in known:
            known.add(join.lease_id)
            lane = state.bulk if join.bulk else state.interactive
            end = sum(place.requeued for place in lane) if join.requeued else len(lane)
            lane.insert(end, QueueEntry(join.lease_id, visit.owner, join.requeued))


def _leave(state: BudgetState, tickets: list[str]) -> None:
    for ticket in tickets:
        opened = state.probe == ticket
        if _end_lease(state, ticket) is not None and not opened:
            _note_uncounted(state)
    _keep_without(state, tickets)


def _keep_without(state: BudgetState, gone: Container[str]) -> None:
    _keep(state, lambda place: place.lease_id not in gone)


def _keep(state: BudgetState, stays: Callable[[QueueEntry], bool]) -> None:
    """Let the others out of the queue.

    What the lanes owe each other is kept as far as it changes the order of those who wait: turns
    count against bulk, and for it, while somebody waits who gains by it.
    """
    state.interactive = [place for place in state.interactive if stays(place)]
    state.bulk = [place for place in state.bulk if stays(place)]
    least = min(0, INTERACTIVE_IN_A_ROW - len(state.interactive))
    most = INTERACTIVE_IN_A_ROW * len(state.bulk)
    state.lane_debt = min(max(state.lane_debt, least), most)


def _in_order(state: BudgetState) -> Iterator[tuple[QueueEntry, bool]]:
    """The queue as it will be served, with whether a place is in the bulk lane."""
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


def _grant(state: BudgetState, visit: SyncRequest) -> None:
    """Send the visitor's calls for which a slot is free after everybody before them has one."""
    free = _free(state)
    turns = {
        place.lease_id: bulky
        for before, (place, bulky) in enumerate(_in_order(state))
        if before < free and place.owner == visit.owner
    }
    for ticket, bulky in turns.items():
        state.lane_debt += -INTERACTIVE_IN_A_ROW if bulky else 1
        state.leases[ticket] = _new_lease(state, visit)
        if state.half_open:
            state.probe = ticket
    _keep_without(state, turns)


def _new_lease(state: BudgetState, visit: SyncRequest) -> Lease:
    """A slot given now, or known to be on the wire."""
    longest = _longest(state)
    mark = _taken(state, longest) - state.booked_total
    state.booked_total += 1
    return Lease(visit.owner, state.now + visit.timeout + longest.hold_seconds, mark)


def _free(state: BudgetState) -> int:
    if state.now < state.closed_until or (state.half_open and state.probe):
        return 0
    free = min(_calls(state, limit) - _taken(state, limit) for limit in state.limits)
    return min(free, 1) if state.half_open else free


def _free_in(state: BudgetState, limit: Limit) -> list[float]:
    """In how many seconds each slot that is not on the wire is free, soonest first."""
    busy = sorted(_busy(state, limit))
    idle = _calls(state, limit) - len(state.leases) - len(busy)
    return [0.0] * idle + busy[max(0, -idle) :]


def _taken(state: BudgetState, limit: Limit) -> int:
    return len(state.leases) + len(_busy(state, limit))


def _busy(state: BudgetState, limit: Limit) -> list[float]:
    """In how many seconds each slot returns that was answered for."""
    returns = [at + limit.hold_seconds - state.now for at in state.answered.values()]
    return [seconds for seconds in returns if seconds > 0.0]


def _calls(state: BudgetState, limit: Limit) -> int:
    """How many calls are ours in that limit's window; strangers show in the longest one."""
    if state.share is None or limit is not _longest(state):
        return limit.calls
    return state.share.calls


def _longest(state: BudgetState) -> Limit:
    return max(state.limits, key=lambda limit: limit.hold_seconds)
