"""Decides whether readings of a list that changed meanwhile have shown every lead of it.

The list comes in pages counted by number, in an order nobody promises, and leads come and go
between two pages. A deletion in front of a page boundary moves a lead across it unseen, so one
walk through the pages loses leads; and `meta.total` does not tell, for a lead that comes makes
up for one that goes. Two walks that agree can both have missed the same lead.

What is certain is this: **a lead that was shown at one moment and again at a later one was there
all the time between**, for a deleted lead does not come back. Take any page that was fetched
alone (no other request under way) and call the moment of its answer r. Of the leads of the list
at r, `total` in number, those are known to have been there which

- the page itself shows, or
- a page answered before it showed, and a page asked for after it showed again.

Nothing else is counted, so `known` leads are a subset of the `total` leads of that moment. **If
`known == total`, the subset is the whole: every lead of the list at r has been shown.** A lead
that existed from the first request to the last existed at r; so it has been shown, and written.
The proof needs no clock, no order, no second look at what changed, and no count of deletions or
insertions; it holds for readings that a crash interrupted, because only before and after matter.
It assumes that an answer shows one moment of the account, and that no id is given twice.

With a list on one page that page proves itself. Else it takes a second reading, and, while leads
are being deleted, sometimes a third, because a lead that goes before it is shown again can prove
nothing. Pages fetched side by side have no order among themselves, so such a group can lie before
or after r, never at it.

Where a filter looks at what can change (a stage, a tag, the owner …), a lead may leave the list
and come back, and is counted at r without having been there. So for such lists the two readings
around r have to be calm as well: the same `total` on every page of both, each showing as many
leads, the second none that was not known. `updated_since` and `created_…` are no such filters:
whoever passes them passes them for good.

Should a page ever count fewer leads than are known to have been there, the count itself is wrong,
and nothing is proved by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

# A list that does not come to rest within so many readings is reported as it was found.
MAX_PASSES = 25

_PASSED_FOR_GOOD = frozenset({"updated_since", "created_from", "created_to", "include"})


class Snapshot(msgspec.Struct, frozen=True):
    """A page fetched alone, and what its moment proves.

    `position` places it among all groups of pages, in order of time. Its `total` leads of the
    list include `alone` that it showed itself, and `known` that were certainly there.
    """

    position: int
    total: int
    shown_here: int
    known: int


class Pass(msgspec.Struct, frozen=True):
    """A walk through all pages, once it has ended.

    `lowest` and `highest` are the totals its pages named; it showed `shown` different leads, of
    which no reading before it had shown `new`.
    """

    lowest: int
    highest: int
    shown: int
    new: int


class Completeness(msgspec.Struct, frozen=True):
    """Whether every lead was shown, and if that is not proved, the reason.

    Leads that were last shown before position `since` are proved to be deleted. `truncated` is
    True when the reading stopped at `max_items`.
    """

    complete: bool
    reason: str | None = None
    since: int = 0
    truncated: bool = False


def may_return(filters: Mapping[str, object]) -> bool:
    """Whether a lead can leave the list that passes these filters and come back."""
    return not _PASSED_FOR_GOOD.issuperset(filters)


def proof(
    references: Sequence[Snapshot], readings: Sequence[Pass], *, returning: bool
) -> Snapshot | None:
    """The latest moment of which every lead is known, or None; see the module for the argument.

    `returning` says that leads may leave the list and come back (`may_return`).
    """
    if not returning and any(one.known > one.total for one in references):
        return None
    trusted = not returning or _stable(readings)
    for reference in reversed(references):
        if reference.shown_here == reference.total or (
            trusted and reference.known == reference.total
        ):
            return reference
    return None


def evaluate(
    references: Sequence[Snapshot], readings: Sequence[Pass], *, returning: bool
) -> Completeness | None:
    """What the readings so far prove; None when another one may prove more."""
    reference = proof(references, readings, returning=returning)
    if reference is not None:
        return Completeness(complete=True, since=0 if returning else reference.position)
    if len(readings) < MAX_PASSES:
        return None
    return Completeness(complete=False, reason=_why_not(references, len(readings)))


def _stable(readings: Sequence[Pass]) -> bool:
    if len(readings) < 2:
        return False
    before, last = readings[-2:]
    totals = {before.lowest, before.highest, before.shown, last.lowest, last.highest, last.shown}
    return len(totals) == 1 and last.new == 0


def _why_not(references: Sequence[Snapshot], readings: int) -> str:
    nearest = min(references, key=lambda one: abs(one.total - one.known))
    if nearest.known > nearest.total:
        return (
            f"the server counts {nearest.total} leads where {nearest.known} are known to have been:"
            " its count cannot be relied on"
        )
    missing = nearest.total - nearest.known
    if not missing:
        return f"the list changed all through {readings} readings: leads left it and came back"
    return (
        f"the list did not come to rest in {readings} readings: of {nearest.total} leads the server"
        f" counts, {missing} at least could not be accounted for"
    )
