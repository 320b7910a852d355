"""Limits how many calls may leave at once: the generic cell rate algorithm (GCRA).

`RateLimit(60, 60.0, burst=10)` lets ten calls leave at once; the next ones follow one second
(`seconds / calls`) apart, and a key that is not used gets one call of its burst back each second.
The whole state is one float, the theoretical arrival time `tat` (s): when the burst is whole again.
A new key starts with `tat = 0.0`. ITU-T I.371 defines the algorithm.

The functions are pure. A limiter uses them in this way, for each limit that has a burst. A call
may leave when `available_at(shape, tat, now) <= now`, where `shape` is `burst_shape(…)` of the
limit. A call that leaves at `now` changes the state to `spend(shape, tat, now)`. A call that was
not sent after all changes it to `refund(shape, tat)`.

All times are seconds of one clock.
"""

from __future__ import annotations

import msgspec

# A call may leave this early (s): a rounding error must not cost it a second wait.
_EARLY = 1e-6


class BurstShape(msgspec.Struct, array_like=True, frozen=True):
    """A burst in the terms of GCRA.

    `interval`: the time between two calls once the burst is spent (s). `tolerance`: how far `tat`
    may lie ahead of the time of a call that leaves (s).
    """

    interval: float
    tolerance: float


def burst_shape(calls: int, seconds: float, burst: int) -> BurstShape:
    """The shape of `burst` calls at once under a limit of `calls` in `seconds`."""
    interval = seconds / calls
    return BurstShape(interval, (burst - 1) * interval)


def available_at(shape: BurstShape, tat: float, now: float, place: int = 0) -> float:
    """When the call with `place` others before it may leave, the first of them at `now` or later.

    The result is exactly `now` when the call may leave at once.
    """
    at = max(tat, now) + place * shape.interval - shape.tolerance
    return at if at > now + _EARLY else now


def room(shape: BurstShape, tat: float, now: float) -> int:
    """How many calls may leave at once now."""
    ahead = max(tat, now) - now
    return max(0, int((shape.tolerance - ahead + _EARLY) / shape.interval + 1))


def spend(shape: BurstShape, tat: float, now: float) -> float:
    """The theoretical arrival time after a call that leaves at `now`."""
    return max(tat, now) + shape.interval


def refund(shape: BurstShape, tat: float) -> float:
    """The theoretical arrival time after a call that left was not sent."""
    return tat - shape.interval
