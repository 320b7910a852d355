"""What bulk jobs say when they have ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from syncro_async._internal.html import record_table


class RowProblem(NamedTuple):
    """Why a row cannot be imported. `column` is as the row names it, None for the whole row."""

    line: int
    column: str | None
    reason: str
    value: Any = None


class FailureGroup(msgspec.Struct, frozen=True):
    """Rows that failed alike: why, how many, and the first of their line numbers."""

    reason: str
    count: int
    lines: tuple[int, ...]


class RowChange(msgspec.Struct, frozen=True):
    """What a row would do to its lead: each field's value now (None: none), and then.

    `lead_id` is None for a lead that would be created.
    """

    line: int
    kind: Literal["create", "update"]
    lead_id: int | None
    fields: dict[str, tuple[Any, Any]]


class ImportSummary(msgspec.Struct, frozen=True):
    """What became of the rows of an import.

    Of `total` rows so many are done: `created` and `updated` leads, and `unchanged` ones that
    needed no request (they were as the row has it, or an identical row came just before). The
    server refused the `failed` ones. Of those `in_doubt` the answer was lost and the look-up
    failed: they may be at the server or not, and the next run with the same journal looks again.

    The rows are counted over all runs with one journal; `requests` and `seconds` are of this run.
    `reasons` groups the failures, `changes` is what a dry run found (`created` and `updated` then
    mean what would be).
    """

    _repr_html_ = record_table

    total: int
    created: int
    updated: int
    unchanged: int
    failed: int
    in_doubt: int
    requests: int
    seconds: float
    reasons: tuple[FailureGroup, ...] = ()
    changes: tuple[RowChange, ...] = ()

    @property
    def unsent(self) -> int:
        """Rows that are still to be sent: none, once an import has ended well."""
        done = self.created + self.updated + self.unchanged
        return self.total - done - self.failed - self.in_doubt


class ExportReceipt(msgspec.Struct, frozen=True):
    """What an export wrote, and whether that is everything.

    `complete` is True only where it is proved that every lead which was in the list from the
    first request to the last has been written, exactly once; else `reason` says what is in the
    way. `written` leads are in the file, each in the state it was last shown in. The server
    showed `seen` different leads: more, where some were deleted meanwhile or could not be read.
    `repeated` times it showed a lead again within one reading of the list. `total_at_start` and
    `total_at_end` are what it counted (`meta.total`).
    """

    _repr_html_ = record_table

    written: int
    seen: int
    repeated: int
    total_at_start: int
    total_at_end: int
    complete: bool
    reason: str | None = None


class SyncReceipt(msgspec.Struct, frozen=True):
    """What a sync did.

    It `fetched` that many leads, all of them or those changed since `since`. The table got
    `inserted` new ones, in `updated` ones something had changed, and `deleted` ones were gone (a
    full run finds them). Every change before `until` is in the table, and the next run asks from
    there. Where `complete` is False, what was read is in the table but may not be all, `reason`
    says why, `until` has not moved, and nothing was deleted; the next run tries again.
    """

    _repr_html_ = record_table

    fetched: int
    inserted: int
    updated: int
    since: datetime | None
    until: datetime | None
    deleted: int = 0
    complete: bool = True
    reason: str | None = None


def group_problems(problems: Iterable[RowProblem]) -> tuple[FailureGroup, ...]:
    """The problems that are alike together, the most frequent first."""
    lines: dict[str, list[int]] = {}
    for problem in problems:
        reason = f"{problem.column} {problem.reason}" if problem.column else problem.reason
        lines.setdefault(reason, []).append(problem.line)
    groups = [FailureGroup(why, len(at), tuple(at[:5])) for why, at in lines.items()]
    return tuple(sorted(groups, key=lambda group: -group.count))
