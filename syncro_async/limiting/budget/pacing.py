"""Paces the bulk lane while interactive calls use the same key.

A bulk job without pacing spends all slots of a window within a second. For the rest of the window
no slot is free, and the priority of the interactive lane has no effect. With pacing the slots that
the bulk lane spends return one after another, and an interactive call waits for the next one only.

The functions are pure: they take a `BulkPace` and the time, and return a new `BulkPace` or a time.
A limiter uses them in this way. Each interactive acquire, also a refused one, changes the state to
`note_interactive(pace, now)`. A bulk call may be granted when `bulk_available_at(pace, now,
interval) <= now`. Its grant changes the state to `note_bulk(pace, now, interval)`, and a grant that
was not used to `return_bulk(pace, interval)`. The interval is `bulk_interval([(calls,
hold_seconds), …])`.

All times are seconds of one clock.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

# How long the bulk lane stays paced after the last interactive call (s).
INTERACTIVE_MEMORY = 600.0


class BulkPace(msgspec.Struct, array_like=True, frozen=True):
    """The state of the pacing of one key.

    `paced_until`: the bulk lane is paced before that time. `next_at`: when the next bulk call may
    be sent while the lane is paced. A new key is not paced.
    """

    paced_until: float = 0.0
    next_at: float = 0.0


def bulk_interval(limits: Iterable[tuple[int, float]]) -> float:
    """The time (s) between two bulk calls of a paced lane: that of the tightest limit.

    `limits` has one pair for each limit: the calls of a window that this client may use now, and
    how long a slot is held after its answer (window + guard, s).
    """
    return max(hold_seconds / calls for calls, hold_seconds in limits)


def note_interactive(pace: BulkPace, now: float) -> BulkPace:
    """The state after an interactive call asked for a slot, whether it got one or not."""
    return BulkPace(max(pace.paced_until, now + INTERACTIVE_MEMORY), pace.next_at)


def note_bulk(pace: BulkPace, now: float, interval: float) -> BulkPace:
    """The state after a bulk call was granted at `now`, also when the lane is not paced."""
    return BulkPace(pace.paced_until, now + interval)


def return_bulk(pace: BulkPace, interval: float) -> BulkPace:
    """The state after a granted bulk call was not sent: the next one need not wait for it."""
    return BulkPace(pace.paced_until, pace.next_at - interval)


def bulk_available_at(pace: BulkPace, now: float, interval: float, place: int = 0) -> float:
    """When the pacing lets the bulk call with `place` bulk calls before it be sent.

    It is `now` when the lane is not paced, and never later than the end of the pacing.
    """
    paced = max(now, pace.next_at) + place * interval
    return min(paced, max(now, pace.paced_until))
