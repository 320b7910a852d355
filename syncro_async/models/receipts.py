"""The results of bulk jobs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from syncro_async._internal.html import record_table


class RowProblem(NamedTuple):
    """Why a row cannot be imported.

    - `line`: the line of the row in its source
    - `column`: the column as the source names it, None for the whole row
    - `reason`: what is wrong
    - `value`: the value that was refused
    """

    line: int
    column: str | None
    reason: str
    value: Any = None


class FailureGroup(msgspec.Struct, frozen=True):
    """Rows that failed for one reason: the reason, their number, and the first line numbers."""

    reason: str
    count: int
    lines: tuple[int, ...]


class RowChange(msgspec.Struct, frozen=True):
    """The change that a row makes to its lead.

    - `line`: the line of the row in its source
    - `kind`: `"create"` or `"update"`
    - `lead_id`: the lead that changes, None for a lead that is created
    - `fields`: each field that changes, with its present value (None: empty) and its new value
    """

    line: int
    kind: Literal["create", "update"]
    lead_id: int | None
    fields: dict[str, tuple[Any, Any]]


class ImportSummary(msgspec.Struct, frozen=True):
    """The result of an import.

        summary = await syncro.bulk.upsert_leads("leads.csv")
        print(summary.created, summary.failed, summary.reasons)

    - `total`: the rows of the import
    - `created`, `updated`: rows that created or updated a lead
    - `unchanged`: rows that needed no request, because the lead has these values already or the
      previous row is identical
    - `failed`: rows that the server refused
    - `in_doubt`: rows whose answer was lost and whose outcome is not known; the next run with the
      same journal tries again to find it out
    - `requests`, `seconds`: the requests and the duration of this run
    - `reasons`: the failures in groups
    - `changes`: the changes that a dry run found; `created` and `updated` then count these

    The rows are counted over all runs with one journal.
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
        """The rows that are still to be sent: 0 after an import that did not stop early."""
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
    """Group the problems with the same reason, the most frequent first."""
    lines: dict[str, list[int]] = {}
    for problem in problems:
        reason = f"{problem.column} {problem.reason}" if problem.column else problem.reason
        lines.setdefault(reason, []).append(problem.line)
    groups = [FailureGroup(why, len(at), tuple(at[:5])) for why, at in lines.items()]
    return tuple(sorted(groups, key=lambda group: -group.count))
