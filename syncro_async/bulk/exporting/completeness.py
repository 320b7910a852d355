"""Decides whether the readings of a list that changes meanwhile have shown every lead of it.

The server shows a list in pages with numbers, and promises no order. Leads are created and deleted
between two pages. A deletion in front of a page boundary moves a lead across the boundary, so one
reading of the pages can miss a lead. `meta.total` does not show that, because a created lead makes
up for a deleted one. Two readings that agree can both have missed the same lead.

**Two readings** (`proof`). What is certain is this: a lead that was shown at one moment and again
later existed all the time between, because a deleted lead does not come back. Take any page that
was fetched alone (no other request was under way), and call the moment of its answer r. Of the
`total` leads that the list has at r, those are known to be there which

- the page itself shows, or
- an earlier page showed, and a page of this list that was requested later showed again.

Nothing else is counted, so the `known` leads are a subset of the `total` leads of that moment. If
`known == total`, the subset is the whole list: every lead of the list at r was shown. A lead that
existed from the first request to the last existed at r, so it was shown, and written. The proof
needs no clock and no order, and no count of deletions or insertions. It holds for readings that a
crash interrupted, because only before and after matter. It assumes that an answer shows one moment
of the account, and that no id is given twice. Pages that are fetched side by side have no order
among themselves, so such a group can be before or after r, never at it.

A list on one page proves itself. Any other list takes a second reading, and, while leads are being
deleted, sometimes a third one, because a lead that is deleted before it is shown again proves
nothing.

Where a filter looks at what can change (a stage, a tag, the owner), a lead may leave the list and
come back. It would be counted at r although it was not there. So for such a list both readings
around r must be stable as well: the same `total` on every page of both, as many leads shown in
each, and no new lead in the second one. `updated_since` and `created_…` are no such filters: a
lead that passes them passes them for good.

If a page ever counts fewer leads than are known to be there, the count itself is wrong, and
nothing is proved by it.

**One reading** (`is_proved_once`). A list that ends with a day in the past (`created_to`) can only
get shorter: a new lead is created today, a deleted lead does not come back, and `created_at` does
not change. So when `total` is the same on every page of one reading, no lead left the list
meanwhile, and none joined it. If the reading also showed `total` different leads, it showed all.
An export therefore reads the leads that are older than two days once (`split.py`), and proves
the younger ones with the first proof. A lead that was shown at r or later counts as known at r
there, when its date says that it was created before the reading began: a date a day before the
reading, or five minutes before a date that the same clock had given by then. So a young part takes
a second reading only for leads that are younger still and not on its first page. Four signs show
that this does not hold here, and each of them leads to readings of the whole list until the first
proof holds:

- the `total` of the old part changed, or differs from the leads shown;
- a lead of the old part is younger than its bound, so the server ignored the filter, or it has no
  date;
- the whole list, counted at the end, has another number of leads than both parts together (leads
  of both parts counted once);
- the answers have no `Date`, so it is not known what the past is for the server.

The first proof takes what both parts showed as an earlier look at the same leads. So the whole
list has to be read once more, and no request was wasted. The second proof assumes more than the
first one: `ASSUMPTIONS` lists it, and the receipt of an export repeats it. `verify="twice"` assumes
none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from syncro_async._internal.error_text import counted

# A list that does not come to rest within so many readings is reported as it was found.
MAX_PASSES = 25

Proof = Literal["page", "once", "twice"]
_ONE_MOMENT = "each answer shows one moment of the account, and no id is given twice"
ASSUMPTIONS: Mapping[Proof, str] = {
    "page": _ONE_MOMENT,
    "once": (
        f"{_ONE_MOMENT}; no lead is restored, back-dated or without a date; all answers come from"
        " one consistent database; the clock that dates the leads does not run back, and is less"
        " than a day behind"
    ),
    "twice": _ONE_MOMENT,
}
"""What each proof takes for granted; see the module."""

_PASSED_FOR_GOOD = frozenset({"updated_since", "created_from", "created_to", "include"})


class Snapshot(msgspec.Struct, frozen=True):
    """A page that was fetched alone, and what its moment proves.

    `position` is its index among all groups of pages, in the order of time. The list had `total`
    leads then: the page showed `shown_here` of them, and `known` were certainly there.
    """

    position: int
    total: int
    shown_here: int
    known: int


class Pass(msgspec.Struct, frozen=True):
    """One complete reading of all pages.

    `lowest` and `highest` are the smallest and the largest `total` of its pages. It showed `shown`
    different leads; `new` of them no earlier page had shown.
    """

    lowest: int
    highest: int
    shown: int
    new: int


class Completeness(msgspec.Struct, frozen=True):
    """Whether it is proved that every lead was shown (`proof`), and if not, the reason.

    Leads that were last shown before position `since` are proved to be deleted. `truncated` is
    True when the reading stopped at `max_items`.
    """

    reason: str | None = None
    since: int = 0
    truncated: bool = False
    proof: Proof | None = None

    @property
    def complete(self) -> bool:
        """Whether every lead was shown."""
        return self.proof is not None


def may_return(filters: Mapping[str, object]) -> bool:
    """Return whether a lead can leave a list with these filters and come back."""
    return not _PASSED_FOR_GOOD.issuperset(filters)


def proof(
    references: Sequence[Snapshot], readings: Sequence[Pass], *, returning: bool
) -> Snapshot | None:
    """Return the latest moment of which every lead is known, or None; see the module.

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
    """Return what the readings so far prove, None when another reading may prove more."""
    found = proof(references, readings, returning=returning)
    if found is not None:
        how: Proof = "page" if found.shown_here == found.total else "twice"
        return Completeness(since=0 if returning else found.position, proof=how)
    if len(readings) < MAX_PASSES:
        return None
    return Completeness(reason=_why_not(references, len(readings)))


def is_proved_once(reading: Pass) -> bool:
    """Return whether one reading of a list that can only get shorter has shown all of it."""
    return reading.lowest == reading.highest == reading.shown


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
            f"the server counts {counted(nearest.total, 'lead')} where {nearest.known} are known to"
            " have been: its count cannot be relied on"
        )
    missing = nearest.total - nearest.known
    if not missing:
        return f"the list changed all through {readings} readings: leads left it and came back"
    return (
        f"the list did not come to rest in {readings} readings: of {counted(nearest.total, 'lead')}"
        f" the server counts, {missing} at least could not be accounted for"
    )
