"""What one synchronisation of a process does to the state of a key.

A process sends a request with the outcomes of its calls and with its waiting calls. The response
has the slots that were granted to it, and what it needs to choose the time of its next request. A
waiter gets a slot when more slots are free than waiters are before it, so a slow process delays
nobody and loses no turn.

A request whose response was lost may arrive again, late, or merged into the next one. What the
state has already changes nothing, and every response names all slots of the owner.

The store calls these functions while nobody else can change the state. No clock, no wait, no I/O.
"""

from __future__ import annotations

from collections.abc import Container
from itertools import islice
from typing import NamedTuple

import msgspec

from syncro_async.limiting.budget import burst
from syncro_async.limiting.budget.foreign_usage import (
    counted_for_others,
    decrement,
    recover,
    reduce_after_429,
)
from syncro_async.limiting.budget.lane_order import debt_after
from syncro_async.limiting.budget.messages import (
    Outcome,
    SyncRequest,
    SyncResponse,
    other_limits,
)
from syncro_async.limiting.budget.pacing import bulk_available_at, paced_after, within_pace
from syncro_async.limiting.budget.pause import PauseGate
from syncro_async.limiting.budget.state import (
    OWNER_TTL,
    BudgetState,
    QueueEntry,
    bursts_of,
    closed_for,
    free,
    free_in,
    in_order,
    keep_entries,
    lifetime,
    longest,
    new_lease,
    own_calls,
    pace_of,
    return_slot,
    start_lease,
    taken,
)
from syncro_async.limiting.budget.state_loss import close_after_silence, restore
from syncro_async.limiting.budget.store_time import Moment, advance
from syncro_async.limiting.protocol import LATE_ARRIVAL_GRACE

# Marks the id of a slot that the server has counted for another client.
_FOREIGN = "/"


class Result(NamedTuple):
    """The response, and whether the state must be written for it.

    A state that differs only by its time and its heartbeats need not be written.
    """

    response: SyncResponse
    changed: bool


def state_for(state: BudgetState | None, request: SyncRequest, clock: float) -> BudgetState:
    """The state for this request: that of the store, or a new one.

    Raises `ConfigurationError` when it was made with other limits and is in use.
    """
    if state is None:
        return BudgetState(
            limits=request.limits,
            epoch=request.name,
            clock=clock,
            now=clock,
            created_at=clock,
            gate=PauseGate(clock + request.new_state_pause),
        )
    if state.limits != request.limits:
        advance(state, Moment.at(clock), None)
        _expire(state)
        if state.answered or state.leases or state.interactive or state.bulk:
            raise other_limits(state.limits)
        state.limits, state.share, state.tats = request.limits, None, []
    return state


def sync(state: BudgetState, request: SyncRequest, moment: Moment) -> Result:
    """Apply the reports of a process, grant the slots that are its turn, and respond."""
    stepped = advance(state, moment, request.seen)
    before = _facts(state, request.owner)
    close_after_silence(state, request, moment)
    state.heartbeats[request.owner] = state.now
    _expire(state)
    restore(state, request, moment)
    for lease_id in request.held:
        if lease_id not in state.leases and lease_id not in state.answered:
            state.leases[lease_id] = new_lease(state, request.owner, request.timeout)
    for outcome in request.outcomes:
        _record_outcome(state, outcome)
    _join(state, request)
    _leave(state, request.leaves)
    _grant(state, request)
    if request.closes:
        del state.heartbeats[request.owner]
        _extend_leases(state, {request.owner: state.now})
    changed = stepped or state.version == 0 or _facts(state, request.owner) != before
    return Result(_respond(state, request), changed)


def _facts(state: BudgetState, owner: str) -> tuple[object, ...]:
    """What other processes must learn of a state after a request of this owner.

    It is everything besides the time of the state and of its heartbeats.
    """
    return (
        state.epoch,
        state.limits,
        state.answered.copy(),
        state.leases.copy(),
        state.interactive.copy(),
        state.bulk.copy(),
        state.awaited.copy(),
        *msgspec.structs.astuple(state.gate),
        state.lane_debt,
        state.booked_total,
        state.share,
        state.tats,
        state.paced_until,
        state.next_at,
        state.has_left_little,
        state.heartbeats.keys() - {owner},
    )


def _respond(state: BudgetState, request: SyncRequest) -> SyncResponse:
    positions, held_back = _positions(state, request.owner)
    rooms = [burst.room(shape, tat, state.now) for shape, tat in bursts_of(state)]
    return SyncResponse(
        epoch=state.epoch,
        granted=[
            lease_id for lease_id, lease in state.leases.items() if lease.owner == request.owner
        ],
        positions=positions,
        seconds_until_free=[free_in(state, limit) for limit in state.limits],
        limits=[own_calls(state, limit) for limit in state.limits],
        leases_held=len(state.leases),
        waiting=len(state.interactive) + len(state.bulk),
        waiting_bulk=len(state.bulk),
        gate_closed_for=closed_for(state),
        half_open=state.gate.half_open,
        probe=state.gate.probe,
        not_before=held_back,
        at_once=min(rooms, default=None),
        foreign_booked=sum(_FOREIGN in lease_id for lease_id in state.answered),
        bulk_paced=state.now < state.paced_until,
    )


def _positions(state: BudgetState, owner: str) -> tuple[dict[str, int], dict[str, float]]:
    """For the waiting calls of a process: the calls before each, and the seconds it is held."""
    positions: dict[str, int] = {}
    held_back: dict[str, float] = {}
    pace, bursts, now = pace_of(state), bursts_of(state), state.now
    interactive = len(state.interactive)
    for place, (entry, bulk) in enumerate(in_order(state)):
        interactive -= not bulk
        if entry.owner != owner:
            continue
        positions[entry.lease_id] = place
        at = max([now, *(burst.available_at(shape, tat, now, place) for shape, tat in bursts)])
        if bulk and not interactive:
            paced = bulk_available_at(pace, state.paced_until, state.next_at, now, place)
            at = max(at, paced)
        if at > now:
            held_back[entry.lease_id] = at - now
    return positions, held_back


def _expire(state: BudgetState) -> None:
    """Drop what no longer counts: old answers, places of dead owners, and their overdue slots."""
    oldest = state.now - longest(state).hold_seconds
    state.answered = {lease_id: at for lease_id, at in state.answered.items() if at > oldest}
    state.awaited = {owner: at for owner, at in state.awaited.items() if at > state.now}
    since = state.now - OWNER_TTL
    dead = {owner: at for owner, at in state.heartbeats.items() if at <= since}
    for owner in dead:
        del state.heartbeats[owner]
    _extend_leases(state, dead)
    state.leases = {
        lease_id: lease
        for lease_id, lease in state.leases.items()
        if lease.owner in state.heartbeats or lease.expires_at > state.now
    }
    probe = state.leases.get(state.gate.probe)
    if probe is None or probe.owner not in state.heartbeats:
        state.gate.probe = ""
    keep_entries(state, lambda entry: entry.owner in state.heartbeats)
    window = longest(state)
    state.share = recover(state.share, window.calls, window.hold_seconds, state.now)


def _extend_leases(state: BudgetState, ended: dict[str, float]) -> None:
    """Keep the slots of owners that were alive until then for as long as they can count."""
    for lease_id, lease in state.leases.items():
        if lease.owner in ended:
            expires_at = ended[lease.owner] + lifetime(state, lease.timeout)
            state.leases[lease_id] = msgspec.structs.replace(
                lease, expires_at=max(lease.expires_at, expires_at)
            )


def _record_outcome(state: BudgetState, settled: Outcome) -> None:
    opened = state.gate.leave(settled.lease_id)
    slot = state.leases.pop(settled.lease_id, None)
    if settled.kind == "answered":
        _count(state, settled.lease_id, state.now - settled.seconds)
        if slot is not None:
            _count_foreign(state, settled, slot.booked_at_grant + state.booked_total)
        if opened:
            state.gate.open_after_probe(state.now)
        return
    if settled.kind == "lost":
        _count(state, settled.lease_id, state.now - settled.seconds + LATE_ARRIVAL_GRACE)
        return
    if slot is not None:
        return_slot(state, arrived=settled.kind == "refused")
        if not opened:
            _note_uncounted(state)
    if settled.kind == "refused":
        _refuse(state, settled.seconds)


def _note_uncounted(state: BudgetState) -> None:
    """Learn from a slot that the server did not count, during the probe of a pause."""
    if state.gate.half_open:
        state.share = decrement(state.share)


def _count(state: BudgetState, lease_id: str, at: float) -> None:
    state.answered.setdefault(lease_id, at)


def _count_foreign(state: BudgetState, settled: Outcome, ours: int) -> None:
    """Book as many slots as the server must have counted for other clients."""
    if settled.remaining < 0:
        return
    calls = own_calls(state, longest(state))
    foreign, state.has_left_little = counted_for_others(
        calls, settled.remaining, ours, had_left_little=state.has_left_little
    )
    for number in range(foreign):
        state.booked_total += 1
        _count(state, f"{settled.lease_id}{_FOREIGN}{number}", state.now - settled.seconds)


def _refuse(state: BudgetState, pause: float) -> None:
    again = state.gate.half_open
    state.gate.throttle(state.now + pause)
    limit = longest(state)
    # In its first window the state does not have what was sent before.
    if not again and state.now - state.created_at > limit.hold_seconds:
        through, until = taken(state, limit), state.gate.closed_until
        state.share = reduce_after_429(
            state.share, limit.calls, limit.hold_seconds, through, until=until
        )


def _join(state: BudgetState, request: SyncRequest) -> None:
    known = {place.lease_id for place in [*state.interactive, *state.bulk]}
    for join in request.joins:
        if join.lease_id in state.leases:
            # The response with the grant was lost, so the call is sent only now.
            state.leases[join.lease_id] = new_lease(state, request.owner, request.timeout)
        elif join.lease_id not in known:
            known.add(join.lease_id)
            if not join.bulk:
                state.paced_until = paced_after(state.now)
            lane = state.bulk if join.bulk else state.interactive
            end = sum(place.requeued for place in lane) if join.requeued else len(lane)
            lane.insert(end, QueueEntry(join.lease_id, request.owner, join.requeued))


def _leave(state: BudgetState, lease_ids: list[str]) -> None:
    for lease_id in lease_ids:
        opened = state.gate.leave(lease_id)
        lease = state.leases.pop(lease_id, None)
        if lease is not None:
            return_slot(state, arrived=False)
            if not opened:
                _note_uncounted(state)
    _keep_without(state, lease_ids)


def _keep_without(state: BudgetState, gone: Container[str]) -> None:
    keep_entries(state, lambda entry: entry.lease_id not in gone)


def _grant(state: BudgetState, request: SyncRequest) -> None:
    """Grant the calls of this process that have a free slot after all calls before them."""
    left = free(state)
    due = within_pace(pace_of(state), state.paced_until, state.next_at, state.now, left)
    turns = {
        entry.lease_id: bulk
        for entry, bulk in islice(in_order(state, due), max(0, left))
        if entry.owner == request.owner
    }
    for lease_id, bulk in turns.items():
        state.lane_debt = debt_after(state.lane_debt, bulks_turn=bulk)
        start_lease(state, lease_id, new_lease(state, request.owner, request.timeout))
        state.gate.enter(lease_id)
    _keep_without(state, turns)
