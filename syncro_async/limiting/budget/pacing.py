"""Paces the bulk lane while interactive calls use the same key.

A bulk job without pacing spends all slots of a window within a second. For the rest of the window
no slot is free, and the priority of the interactive lane has no effect. With pacing the slots
return one after another, and an interactive call waits for the next one only. So while the lane is
paced, a bulk call is granted only when both lanes together stay within one call every
(W + guard) / limit seconds. If only the bulk calls were counted, both lanes together would spend
the slots before the window is over, and its rest would have none, in every window.

Interactive calls are never paced, and wait for nothing but a slot. `lane_order` decides which lane
has the next one when calls of both wait.

The functions are pure, and the state of a key is two floats, both 0.0 for a new key: `paced_until`,
until when the bulk lane is paced, and `next_at`, when both lanes together are within the pace. A
limiter uses the functions in this way:

- Each interactive acquire, also a refused one, sets `paced_until` to `paced_after(now)`.
- A bulk call is due when `bulk_available_at(pace, paced_until, next_at, now) <= now`.
- Each grant, of both lanes and also while the bulk lane is not paced, sets `next_at` to
  `spend(pace, next_at, now)`; one that the server did not count then sets it to
  `refund(pace, next_at)`.

`pace` is `pace_of([(calls, hold_seconds), …])`. All times are seconds of one clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

# How long the bulk lane stays paced after the last interactive call (s).
INTERACTIVE_MEMORY = 600.0
# So many intervals, and at least so many seconds, a bulk call may be granted before its time. Slots
# return at irregular times, and timers are late. If a slot that returns early had to wait for the
# pace, or the pace for a late timer, a part of the budget would not be used.
TOLERANCE = 0.5
TIMER_LATENESS = 0.05
# So large a part of a limit the interactive lane may be ahead of the order of the lanes.
_ADVANCE = 1 / 6


class Pace(NamedTuple):
    """The pace of a key.

    `interval`: the time between two calls while the bulk lane is paced (s). `tolerance`: how long
    before its time a bulk call may be granted (s). `advance`: how many interactive calls in a row
    may go before a bulk call, beyond those that always may, when the bulk lane has had more than
    its share (see `lane_order`).
    """

    interval: float
    tolerance: float
    advance: int


def pace_of(limits: Iterable[tuple[int, float]]) -> Pace:
    """The pace of the tightest limit.

    `limits` has one pair for each limit: the calls of a window that this client may use now, and
    how long a slot is held after its answer (window + guard, s).
    """
    interval, calls = max((hold_seconds / calls, calls) for calls, hold_seconds in limits)
    tolerance = max(TOLERANCE * interval, TIMER_LATENESS)
    return Pace(interval, tolerance, int(calls * _ADVANCE))


def paced_after(now: float) -> float:
    """Until when the lane is paced after an interactive call asked for a slot at `now`."""
    return now + INTERACTIVE_MEMORY


def bulk_available_at(
    pace: Pace, paced_until: float, next_at: float, now: float, place: int = 0
) -> float:
    """When the pacing lets the bulk call with `place` calls before it be granted.

    It is exactly `now` when the lane is not paced, and never later than the end of the pacing.
    """
    if now >= paced_until:
        return now
    paced = max(next_at, now) + place * pace.interval - pace.tolerance
    return max(now, min(paced, paced_until))


def within_pace(pace: Pace, paced_until: float, next_at: float, now: float, calls: int) -> int:
    """How many of so many calls may be granted at `now`, until a bulk call is not due any more."""
    if now >= paced_until:
        return calls
    ahead = now - max(next_at, now) + pace.tolerance
    return min(calls, int(ahead / pace.interval) + 1) if ahead >= 0.0 else 0


def spend(pace: Pace, next_at: float, now: float) -> float:
    """The new `next_at` after a call of any lane was granted at `now`."""
    return max(next_at, now) + pace.interval


def refund(pace: Pace, next_at: float) -> float:
    """The new `next_at` after the server did not count a granted call."""
    return next_at - pace.interval
