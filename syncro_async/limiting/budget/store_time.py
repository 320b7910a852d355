"""The time of a shared state: what the clock of a store and those of its processes say together.

The clock of a store can step: a server is set to another time, or another server takes over. A
step forward would return slots too early. Each process knows how much time has passed at most
since it saw the state last, so that the time of the state never goes faster than that. A clock
that steps back costs at most the time since the last write.
"""

from __future__ import annotations

from typing import NamedTuple, Self

from syncro_async.limiting.budget.messages import Seen
from syncro_async.limiting.budget.state import BudgetState

# A clock of a store that is ahead by more (s) than the clocks of its processes has stepped.
_STEP = 0.25


class Moment(NamedTuple):
    """When a state was read: `clock` is that of the store (s).

    The process asked for it at `asked_at` and had it at `heard_at` (s, its monotonic clock).
    """

    clock: float
    asked_at: float
    heard_at: float

    @classmethod
    def at(cls, clock: float) -> Self:
        """The moment of a store that has the monotonic clock of its processes."""
        return cls(clock, clock, clock)


def advance(state: BudgetState, moment: Moment, seen: Seen | None) -> bool:
    """Bring the state to this moment; True when the clock of the store has stepped."""
    passed = moment.clock - state.clock
    now = state.now + max(0.0, passed)
    latest = now
    if seen is not None and seen.epoch == state.epoch:
        latest = seen.now + max(0.0, moment.heard_at - seen.asked_at)
    state.now, state.clock = min(now, latest), moment.clock
    # A heartbeat by a clock that has stepped forward must not keep a process alive for longer.
    state.heartbeats = {owner: min(at, state.now) for owner, at in state.heartbeats.items()}
    return passed < 0.0 or now - latest > _STEP


def heartbeats_of(state: BudgetState, by_clock: dict[str, float], clock: float) -> dict[str, float]:
    """The heartbeats in the time of the state; `by_clock` has them by the clock of the store.

    A clock that shows less than when the state was written has stepped back. The heartbeats since
    then cannot be compared with the earlier ones, so all owners count as alive.
    """
    if clock < state.clock:
        return dict.fromkeys(by_clock, state.now)
    offset = state.clock - state.now
    return {owner: at - offset for owner, at in by_clock.items()}


def continue_on(state: BudgetState, clock: float) -> None:
    """Continue a state on another boot, or on another host, whose clock shows `clock` (s).

    How much time has passed is not known, so every slot counts as answered now.
    """
    state.clock = clock
    state.answered = dict.fromkeys([*state.answered, *state.leases], state.now)
    state.leases, state.heartbeats, state.awaited = {}, {}, {}
    state.interactive, state.bulk, state.gate.probe = [], [], ""
