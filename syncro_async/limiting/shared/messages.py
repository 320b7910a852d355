"""The request and the response of one synchronisation with a shared budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from syncro_async.errors import ConfigurationError
from syncro_async.limiting.rate_limit import RateLimit


class Limit(msgspec.Struct, array_like=True, frozen=True):
    """`calls` in any `hold_seconds` (window and guard, s)."""

    calls: int
    hold_seconds: float


def limits_of(rates: Sequence[RateLimit]) -> list[Limit]:
    """The limits of these rates in their order, then the limits of their bursts.

    A burst of b calls is one more limit, b times as long as the share of one call of the window. So
    it holds for all processes together.
    """
    windows = [Limit(rate.calls, rate.hold_seconds) for rate in rates]
    bursts = [
        Limit(rate.burst, rate.burst * rate.seconds / rate.calls)
        for rate in rates
        if rate.burst is not None
    ]
    return windows + bursts


class Join(msgspec.Struct, array_like=True, frozen=True):
    """A call that waits. `requeued`: it goes before others, because it was answered with 429.

    `lease_id` names one turn in the queue and the slot that it leads to. It is never used again.
    """

    lease_id: str
    bulk: bool
    requeued: bool = False


class Outcome(msgspec.Struct, array_like=True, frozen=True):
    """The outcome of a slot; `back` means that the server did not count the request.

    `seconds`: how long ago it was answered or lost, or how long a 429 pauses the key, at the time
    of the request. `remaining`: how many more calls the server will count (-1: not known).
    """

    lease_id: str
    kind: Literal["back", "answered", "lost", "refused"]
    seconds: float = 0.0
    remaining: int = -1


class SyncRequest(msgspec.Struct, array_like=True, frozen=True):
    """What a process reports. `timeout` is the longest duration of one of its requests (s).

    `name` identifies this request. `epoch`: that of the last response, empty while the process
    knows nothing that matters. `held`: slots in flight that the store may not have. `joins`:
    waiting calls, the new ones, or all of them after a lost response; calls that are in the queue
    keep their place. `leaves`: calls that have left the queue or do not use their slot. `leaves`
    and `outcomes` are repeated until a request is answered.
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
    """What the store answers. `epoch`: another one than before means that the state was lost.

    `granted`: the calls of the process that have a slot, the new ones last and in their order.
    `positions`: how many calls wait before each of its other calls. A call that is in neither has
    lost its place and joins again. A lease id that the process does not have (of a late request, or
    after a lost response) leaves. `seconds_until_free`: for each limit, in how many seconds each
    slot that is not in flight is free (0.0: now). `limits`: how many calls of each limit are ours,
    fewer than the limit while other clients use the key. `half_open`: after the pause one call is
    sent alone; `probe`: its lease id while it is in flight, else empty.
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
    """The error of a process with other limits: two limits for one budget cannot both hold."""
    kept = ", ".join(f"{limit.calls} in {limit.hold_seconds:g} s" for limit in limits)
    return ConfigurationError(
        f"another client uses the same key and base URL with other rates ({kept}, guard"
        " included); give this one the same rate_limit, or wait until its slots are free"
    )
