"""What a process says when it visits a shared budget, and what it is told there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from syncro_async.errors import ConfigurationError
from syncro_async.limiting.rate_limit import RateLimit


class Limit(msgspec.Struct, array_like=True, frozen=True):
    """`calls` in any `hold` seconds: window and guard."""

    calls: int
    hold_seconds: float


def limits_of(rates: Sequence[RateLimit]) -> list[Limit]:
    """What is kept for these rates: one limit for each, in their order, then their bursts.

    A burst of b calls, b times as long as one call's share of the window, is a limit too: so it
    holds for all processes together.
    """
    windows = [Limit(rate.calls, rate.hold_seconds) for rate in rates]
    bursts = [
        Limit(rate.burst, rate.burst * rate.seconds / rate.calls)
        for rate in rates
        if rate.burst is not None
    ]
    return windows + bursts


class Join(msgspec.Struct, array_like=True, frozen=True):
    """A call waits; `first`: before all who did not, because a 429 turned it away.

    `ticket` names one turn in the queue and the slot it leads to, and nothing else ever: not
    another call's, not the next attempt's, and not another process's.
    """

    lease_id: str
    bulk: bool
    requeued: bool = False


class Outcome(msgspec.Struct, array_like=True, frozen=True):
    """What became of a slot. `back`: the server did not count the request.

    `seconds` is how long ago it was answered or given up for lost, or how long the refusal pauses
    the key, as it is when the visit is made. `left`: how many more calls the server said it would
    count (-1: it did not say).
    """

    lease_id: str
    kind: Literal["back", "answered", "lost", "refused"]
    seconds: float = 0.0
    remaining: int = -1


class SyncRequest(msgspec.Struct, array_like=True, frozen=True):
    """What a process brings. `timeout` is how long a request of its may last (s).

    `name` is this visit's own, nothing else's ever. `epoch`: that of the last ruling it had, empty
    while nothing matters that it knows of. `flies`: slots on the wire that the store may not know.
    `joins` names calls that wait: the new ones, and all of them when the last answer was lost;
    those already in the queue keep their place. `leaves` names those that want no turn any more,
    whether they still wait or were given a slot that nobody used. `leaves` and `settled` are told
    again until a visit was answered.
    """

    owner: str
    name: str
    epoch: str
    limits: list[Limit]
    timeout: float
    held: list[str] = []
    joins: list[Join] = []
    leaves: list[str] = []
    outcomes: list[Outcome] = []


class SyncResponse(msgspec.Struct, array_like=True, frozen=True):
    """What it takes away. `epoch`: another one than before means that the store has forgotten.

    `granted`: its calls that have a slot and may be sent, the new ones last and in their order.
    `places`: how many wait before each of its others. A call that is in neither has lost its
    place and joins again; a ticket that the process does not know (of a visit that came late, or
    whose answer was lost) leaves. `free_in`: for each limit, in how many seconds each of its slots
    is free (0.0: now; those on the wire are not among them). `limits`: what is kept to now, in
    calls: fewer than the limit itself while somebody else uses the key. `half_open`: after the
    pause one call goes alone; `opener`: its ticket while it is on the wire, else empty.
    """

    epoch: str
    granted: list[str]
    positions: dict[str, int]
    seconds_until_free: list[list[float]]
    limits: list[int]
    leases_held: int
    waiting: int
    waiting_bulk: int
    gate_closed_for: float
    half_open: bool
    probe: str


def other_limits(limits: list[Limit]) -> ConfigurationError:
    """The error of a visitor who wants others than these: two limits would mean none at all."""
    kept = ", ".join(f"{limit.calls} in {limit.hold_seconds:g} s" for limit in limits)
    return ConfigurationError(
        f"another client uses the same key and base URL with other rates ({kept}, guard"
        " included); give this one the same rate_limit, or wait until its slots are free"
    )
