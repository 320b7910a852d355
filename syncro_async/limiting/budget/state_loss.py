"""What happens when a store has lost its state, or has an older one.

A server restarts without its data, a snapshot is restored, a file is deleted. A state therefore
has an epoch, and a stamp for each of its last writes, and each process keeps what it saw last. A
process that finds another epoch, or a state that does not descend from what it saw, adds what it
saw to the state of the store. Then nobody sends
for `STATE_LOSS_PAUSE`, so that all processes that are running can do the same.

A process of the lost state that does not report may have been granted slots that nobody else
knows. Until it reports, or until all slots that it could have do not count any more, nothing is
free.

The stated exception: the state is lost while no process is running that has calls or slots that
count. An idle process has left the store, and does not know what others have sent since.
"""

from __future__ import annotations

import math

import msgspec

from syncro_async.limiting.budget.messages import SyncRequest
from syncro_async.limiting.budget.state import (
    HEARTBEAT,
    OWNER_TTL,
    STATE_LOSS_PAUSE,
    BudgetState,
    Lease,
    lifetime,
)
from syncro_async.limiting.budget.store_time import Moment
from syncro_async.limiting.budget.stored_state import read_state, stamp_of

# Of processes that are running, one has reported within so many seconds.
_OVERDUE = 1.5 * HEARTBEAT


def restore(state: BudgetState, request: SyncRequest, moment: Moment) -> None:
    """Add what the process has seen, when the state does not descend from that."""
    state.awaited.pop(request.owner, None)
    seen = request.seen
    if seen is None or not _is_lost(state, request):
        return
    if state.epoch == seen.epoch:
        # An older state: a new epoch, so that the others notice it too.
        state.epoch, state.heartbeats = request.name, {request.owner: state.now}
    seen_at = state.now - (moment.asked_at - seen.heard_at)
    _merge(state, read_state(seen.state), seen_at - seen.now)
    until = seen_at + OWNER_TTL + lifetime(state, request.timeout)
    for owner in seen.alive:
        if owner != request.owner and owner not in state.heartbeats:
            state.awaited.setdefault(owner, until)
    close(state)


def close_after_silence(state: BudgetState, request: SyncRequest, moment: Moment) -> None:
    """Close a state whose other owners are all silent, for a process that did not watch it.

    They may have ended. But the clock of the store may also have stepped, its state may be an
    older one, or nobody could reach it for a while. Those that are running report meanwhile.
    """
    others = [at for owner, at in state.heartbeats.items() if owner != request.owner]
    watched = request.seen is not None and moment.asked_at - request.seen.heard_at < OWNER_TTL
    missed = request.after_outage or (others and not watched)
    if missed and max(others, default=-math.inf) <= state.now - _OVERDUE:
        close(state)


def close(state: BudgetState) -> None:
    """Let nobody send for `STATE_LOSS_PAUSE`."""
    state.gate.close(state.now + STATE_LOSS_PAUSE)


def _is_lost(state: BudgetState, request: SyncRequest) -> bool:
    seen = request.seen
    if seen is None or state.epoch != seen.epoch or state.version < seen.version:
        return True
    stamp = stamp_of(state, seen.version)
    return bool(stamp) and stamp != seen.stamp


def _merge(state: BudgetState, seen: BudgetState, later: float) -> None:
    """Add the slots, the pause and the other facts of `seen`, whose times become so much later."""
    for lease_id, at in seen.answered.items():
        state.leases.pop(lease_id, None)
        state.answered.setdefault(lease_id, at + later)
    for lease_id, lease in seen.leases.items():
        if lease_id not in state.answered and lease_id not in state.leases:
            state.leases[lease_id] = _moved(lease, later)
    state.gate.close(seen.gate.closed_until + later)
    state.gate.half_open |= seen.gate.half_open
    if seen.share is not None and (state.share is None or seen.share.calls < state.share.calls):
        raise_at = seen.share.raise_at + later
        state.share = msgspec.structs.replace(seen.share, raise_at=raise_at)
    tats = state.tats or [0.0] * len(state.limits)
    if seen.tats and len(seen.tats) == len(tats):
        state.tats = [max(a, b + later) for a, b in zip(tats, seen.tats, strict=True)]
    state.paced_until = max(state.paced_until, seen.paced_until + later)
    state.next_at = max(state.next_at, seen.next_at + later)


def _moved(lease: Lease, later: float) -> Lease:
    return msgspec.structs.replace(lease, expires_at=lease.expires_at + later)
