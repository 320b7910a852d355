"""Learns how much of a key's window other programs spend.

A 429 in spite of the slot rule means that another program uses the key: a workflow tool, a
script on another machine. Then the budget of a window becomes what the server let through in the
last one, though never less than half of what it was: one window says little about the next. It
grows again: after `patience` clean windows by one call, then by two, by four, until it is whole.
Every further 429 lowers it again and doubles the number of clean windows, so that a client that
stays costs ever fewer refusals, and one who goes is forgotten in a few minutes.

Where the server let nothing through, nothing is learned: no budget would have been small enough.
"""

from __future__ import annotations

import msgspec

_MOST_CLEAN_WINDOWS = 16


# An answer that leaves less than this part of a window can be about another limit of the service.
_LITTLE = 0.1


def leaves_little(left: int, calls: int) -> bool:
    """Whether an answer that says «`left` more calls» has to be confirmed by the next one.

    Some services count a single endpoint separately and say so in the same header. If such an
    answer were believed, it would cost the rest of a window. A limiter books what other clients
    used, when an answer leaves little, only if the answer before it left little too.
    """
    return left < _LITTLE * calls


def counted_for_others(
    calls: int, left: int, ours: int, *, had_left_little: bool
) -> tuple[int, bool]:
    """How many calls of a window the server has counted for other clients, by its answer.

    It says that it will count `left` more of `calls`, and `ours` of ours may be in the window.
    `had_left_little`: what this function returned second for the answer before: whether the next
    answer has to confirm it.
    """
    foreign = max(0, calls - left - ours)
    is_little = foreign > 0 and leaves_little(left, calls)
    return (0 if is_little and not had_left_little else foreign), is_little


class OwnShare(msgspec.Struct, array_like=True, frozen=True):
    """What is left for us of a window: `calls` of its calls.

    At `raise_at` it grows by `step`; `patience` is how many windows it waited for that. `through`
    is how many of our calls the server let through before its last pause, as far as they have
    ended; that lowers `calls` as far as `least`, and no further.
    """

    calls: int
    floor: int
    accepted: int
    step: int
    clean_windows: int
    raise_at: float


def reduce_after_429(
    share: OwnShare | None, calls: int, window: float, through: int, *, until: float
) -> OwnShare | None:
    """The share after the first 429 of a pause that lasts until `until`.

    `calls` and `window` (s) are the limit's own; `through` of our calls were counted in the last
    window or are on the wire still.
    """
    if through == 0:
        return share
    max_wait = 1 if share is None else min(2 * share.clean_windows, _MOST_CLEAN_WINDOWS)
    most = calls if share is None else share.calls
    least = max(1, most // 2)
    fewer = max(least, min(most - 1, through))
    return OwnShare(fewer, least, through, 1, max_wait, until + max_wait * window)


def decrement(share: OwnShare | None) -> OwnShare | None:
    """The share when one that was on the wire then was not let through either."""
    if share is None:
        return None
    through = share.accepted - 1
    fewer = max(share.floor, min(share.calls, through))
    return msgspec.structs.replace(share, calls=fewer, accepted=through)


def recover(share: OwnShare | None, calls: int, window: float, now: float) -> OwnShare | None:
    """The share as it is by now; None once it is the whole limit again."""
    while share is not None and now >= share.raise_at:
        more = share.calls + share.step
        raise_at = share.raise_at + window
        later = msgspec.structs.replace(share, calls=more, step=2 * share.step, raise_at=raise_at)
        share = later if more < calls else None
    return share
