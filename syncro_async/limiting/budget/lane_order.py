"""Decides which lane has the next slot: interactive before bulk, and bulk never starved.

While calls of both lanes wait, at least every fifth slot is the bulk lane's. The `debt` counts
that: it grows by one with each interactive call that is granted while a bulk call waits, and falls
by four with each bulk call. At four the next slot is the bulk lane's.

A bulk lane that has had more than its share has a debt below zero, at most by the `advance`, a
sixth of the limit. So a few interactive calls that come together are not held up by a bulk job that
had all slots before. After that every fifth slot is the bulk lane's again.

The functions are pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

# While bulk calls wait, at least every fifth slot is theirs.
INTERACTIVE_IN_A_ROW = 4


def is_bulks_turn(debt: int, *, interactive: bool, due: bool) -> bool:
    """Whether the next slot is that of the bulk lane, in which a call waits.

    `interactive`: an interactive call waits too. `due`: the pacing lets a bulk call be granted
    that no interactive call waits beside.
    """
    return debt >= INTERACTIVE_IN_A_ROW if interactive else due


def debt_after(debt: int, *, bulks_turn: bool) -> int:
    """The debt after a slot was granted while a bulk call waited."""
    return debt - INTERACTIVE_IN_A_ROW if bulks_turn else debt + 1


def bounded(debt: int, advance: int, *, interactive: int = 0, bulk: int = 1) -> int:
    """The debt as far as it is kept, when so many calls wait in the two lanes.

    More than four is owed only where calls are granted before their turn: by processes that share
    a budget. Nothing is owed to a lane in which no call waits.
    """
    least = min(-advance, INTERACTIVE_IN_A_ROW - interactive)
    return min(max(debt, least), INTERACTIVE_IN_A_ROW * bulk)


def turns(interactive: int, bulk: int, debt: int, due: int) -> Iterator[bool]:
    """The slots that can be granted now, in their order; True for one of the bulk lane.

    So many calls wait in the two lanes. Bulk calls are due as long as fewer than `due` calls of
    both lanes have been granted (`pacing.within_pace`). With `due = interactive + bulk` it is the
    order of all calls that wait.
    """
    while interactive or (bulk and due > 0):
        bulks_turn = bulk > 0 and is_bulks_turn(debt, interactive=interactive > 0, due=due > 0)
        yield bulks_turn
        debt = debt_after(debt, bulks_turn=bulks_turn)
        due -= 1  # interactive calls use up the pace too
        if bulks_turn:
            bulk -= 1
        else:
            interactive -= 1


def bulk_before(before: int, bulk: int, debt: int) -> int:
    """How many of the `bulk` bulk calls go before an interactive call.

    `before` interactive calls go before it.
    """
    return min(bulk, max(0, before + debt) // INTERACTIVE_IN_A_ROW)


def interactive_before(before: int, interactive: int, debt: int) -> int:
    """How many of the `interactive` calls go before a bulk call.

    `before` bulk calls go before it.
    """
    return min(interactive, max(0, INTERACTIVE_IN_A_ROW * (before + 1) - debt))


def bulk_forecast(
    before: int,
    interactive: int,
    debt: int,
    slot_at: Callable[[int], float],
    due_at: Callable[[int], float],
) -> float:
    """When the bulk call with `before` bulk calls before it would be sent: an estimate.

    `interactive` interactive calls wait. `slot_at` gives for a number of calls, of both lanes, when
    the call after them has a slot, and `due_at` when the pacing lets it be granted. It is sent in
    its turn between the interactive calls, or after all of them, whichever is first.
    """
    after_all = before + interactive
    at_last = max(slot_at(after_all), due_at(after_all))
    sooner = interactive_before(before, interactive, debt)
    return min(at_last, slot_at(before + sooner)) if sooner < interactive else at_last
