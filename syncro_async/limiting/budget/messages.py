"""The request and the response of one synchronisation with a shared budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.budget.burst import BurstShape, burst_shape
from syncro_async.limiting.rate_limit import RateLimit


class Limit(msgspec.Struct, array_like=True, frozen=True):
    """`calls` in any `hold_seconds` (window and guard, s); `burst` of them at once."""

    calls: int
    hold_seconds: float
    burst: BurstShape | None = None


def limits_of(rates: Sequence[RateLimit]) -> list[Limit]:
    """The limits of these rates, in their order."""
    return [
        Limit(
            rate.calls,
            rate.hold_seconds,
            None if rate.burst is None else burst_shape(rate.calls, rate.seconds, rate.burst),
        )
        for rate in rates
    ]


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


class Seen(msgspec.Struct, array_like=True, frozen=True):
    """The state of a key as a process saw it last.

    `epoch`, `version` and `now` are those of the state, `stamp` is that of its last write, `state`
    is the state itself as the store keeps it, and `alive` are the owners that sent heartbeats. It
    was read between `asked_at` and `heard_at` (s, the monotonic clock of the process).
    """

    epoch: str
    version: int
    stamp: bytes
    now: float
    alive: list[str]
    state: bytes
    asked_at: float
    heard_at: float


class SyncRequest(msgspec.Struct, array_like=True, frozen=True):
    """What a process reports. `timeout` is the longest duration of one of its requests (s).

    `name` identifies this request. `seen`: the state as the process saw it last, None while
    nothing of it matters to the process. `held`: slots in flight that the store may not have.
    `joins`: waiting calls, the new ones, or all of them after a lost response; calls that are in
    the queue keep their place. `leaves`: calls that have left the queue or do not use their slot.
    `leaves` and `outcomes` are repeated until a request is answered. `new_state_pause`: how long
    a new state stays closed (s). `closes`: the process has nothing more to report, and waits for
    nothing. `after_outage`: the store was out of reach for long, so that other processes may have
    sent requests that they have not reported yet.
    """

    owner: str
    name: str
    limits: list[Limit]
    timeout: float
    seen: Seen | None = None
    held: list[str] = []
    joins: list[Join] = []
    leaves: list[str] = []
    outcomes: list[Outcome] = []
    new_state_pause: float = 0.0
    closes: bool = False
    after_outage: bool = False


class SyncResponse(msgspec.Struct, array_like=True, frozen=True):
    """What the store answers. `epoch`: another one than before means that the state was lost.

    `granted`: the calls of the process that have a slot, the new ones last and in their order.
    `positions`: how many calls wait before each of its other calls. A call that is in neither has
    lost its place and joins again. A lease id that the process does not have (of a late request, or
    after a lost response) leaves. `not_before`: in how many seconds the burst or the pace of the
    bulk lane lets a call be sent, for those calls that they hold back. `seconds_until_free`: for
    each limit, in how many seconds each slot that is not in flight is free (0.0: now). `limits`:
    how many calls of each limit are ours, fewer than the limit while other clients use the key.
    `at_once`: how many calls the bursts let be sent now, None without a burst. `foreign_booked`:
    how many slots the server has counted for other clients. `half_open`: after
    the pause one call is sent alone; `probe`: its lease id while it is in flight, else empty.
    `bulk_paced`: interactive calls pace the bulk lane.
    `seen` is for the next request of the process. `delayed_by`: how long after the request the
    store read the state that this answers (s): it starts again when others change the state.
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
    not_before: dict[str, float] = {}
    at_once: int | None = None
    foreign_booked: int = 0
    bulk_paced: bool = False
    seen: Seen | None = None
    delayed_by: float = 0.0


def other_limits(limits: list[Limit]) -> ConfigurationError:
    """The error of a process with other limits: two limits for one budget cannot both hold."""
    kept = ", ".join(f"{limit.calls} in {limit.hold_seconds:g} s" for limit in limits)
    return ConfigurationError(
        ArgumentText(
            f"another client uses the same key and base URL with other rates ({kept}, guard"
            " included); give this one the same ",
            Argument("rate_limit"),
            ", or wait until its slots are free",
        )
    )
