"""The results of bulk jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from syncro_async._internal import plain_text
from syncro_async.models import base
from syncro_async.models.types import Moment


class RowProblem(NamedTuple):
    """Why a row cannot be imported.

    - `line`: the line of the row in its source
    - `column`: the column as the source names it, None for the whole row
    - `reason`: what is wrong
    - `value`: the value that was refused
    - `advice`: what to do next, None for nothing special; `{columns}`, `{locale}` and so on stand
      for the arguments of these names, which Python and the command write differently
    """

    line: int
    column: str | None
    reason: str
    value: Any = None
    advice: str | None = None

    @property
    def text(self) -> str:
        """The column, the value and what is wrong with it, as one text."""
        subject = self.column or "the row"
        value = "" if self.value is None else f" {shown(self.value)}"
        return f"{subject}{value} {self.reason}"


class FailureGroup(base.Model, frozen=True):
    """Rows that failed for one reason.

    - `reason`: the column and what is wrong with it
    - `count`: the number of rows
    - `lines`: the lines of the first of them
    - `values`: the values that were refused on these lines; empty where no value is at fault
    - `advice`: as in `RowProblem`
    - `column`: the column, None for whole rows
    """

    reason: str
    count: int
    lines: tuple[int, ...]
    values: tuple[Any, ...] = ()
    advice: str | None = None
    column: str | None = None


class RowChange(base.Model, frozen=True):
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


class ColumnUse(base.Model, frozen=True):
    """What becomes of a column of an import.

    - `column`: its name
    - `field`: the field that it holds, None for none
    - `use`: `"field"`, `"id"` (the lead's id), `"ignored"`, `"read-only"`, `"part"` (a part of a
      field that several columns hold together), or `"unknown"`, `"repeated"` and `"not writable"`
      for a column that stops the import
    """

    column: str
    field: str | None
    use: str


class SourceReport(base.Model, frozen=True):
    """How the rows of an import were read.

    - `name`: the name of the file, or `"rows"`
    - `format`: `"csv"` (every text with delimiters), `"xlsx"`, `"jsonl"`, `"parquet"`, `"frame"` (a
      data frame) or `"rows"`
    - `encoding`, `sample`: of a text file, with one of its texts that is not plain ASCII
    - `delimiter`: the character between the cells of a text file
    - `sheet`, `other_sheets`: the sheet of a workbook, and the sheets whose rows are not read
    - `header_line`: the line of the column names, None where each row names its columns
    - `columns`: what becomes of each column
    - `rows`, `bad_rows`: the number of rows, and of those that cannot be imported
    - `cleaned`: what was removed from values, such as `"invisible character"` or `"tel:"`, with the
      number of the values
    """

    name: str
    format: str
    encoding: str | None
    sample: str | None
    delimiter: str | None
    sheet: str | None
    header_line: int | None
    columns: tuple[ColumnUse, ...]
    rows: int
    bad_rows: int
    cleaned: dict[str, int]
    other_sheets: tuple[str, ...] = ()


class ImportSummary(base.Model, frozen=True):
    """The result of an import.

        summary = await syncro.bulk.upsert_leads("leads.csv")
        print(summary.created, summary.failed, summary.reasons)

    - `total`: the rows of the import
    - `created`, `updated`: rows that created or updated a lead
    - `unchanged`: rows that needed no request, because the lead has these values already or the
      previous row is identical
    - `failed`: rows that the server refused
    - `set_aside`: rows that cannot be imported and were left out, with `on_bad_row="set-aside"`
    - `in_doubt`: rows whose answer was lost and whose outcome is not known. They are never sent
      again by themselves. The next run with the same journal tries again to find it out
    - `doubts`: these rows, each with its line and the leads of which one may be its own
    - `requests`, `seconds`: the requests and the duration of this run
    - `reasons`: the failures in groups
    - `changes`: the changes that a dry run found; `created` and `updated` then count these
    - `sales`, `losses`: how many of these changes record a sale or a loss, because their stage is
      a won or a lost one (dry run)
    - `emptied`: the empty cells of fields that have a value at the server; they change nothing
    - `failures_file`: the path of the file with the rows that are not done, None for no such row

    The rows are counted over all runs with one journal.
    """

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
    doubts: tuple[RowProblem, ...] = ()
    sales: int = 0
    losses: int = 0
    emptied: int = 0
    set_aside: int = 0
    failures_file: str | None = None

    @property
    def unsent(self) -> int:
        """The rows that are still to be sent: 0 after an import that did not stop early."""
        done = self.created + self.updated + self.unchanged
        return self.total - done - self.failed - self.in_doubt - self.set_aside


class UndoneRow(base.Model, frozen=True):
    """What became of a row when its import was taken back.

    - `line`: the line of the row in its source
    - `what`: `"deleted"` (the lead that it created), `"restored"` (what it changed), `"gone"` (the
      lead does not exist any more) or `"kept"`
    - `lead_id`: the lead
    - `changes`: the fields that were restored, each with its value before and after
    - `reason`: why something was kept as it is, None for nothing
    """

    line: int
    what: Literal["deleted", "restored", "gone", "kept"]
    lead_id: int
    changes: dict[str, tuple[Any, Any]] = msgspec.field(default_factory=dict)
    reason: str | None = None


class UndoSummary(base.Model, frozen=True):
    """The result of taking an import back.

    - `rows`: each row that had created or changed a lead
    - `requests`: the requests that were sent
    """

    rows: tuple[UndoneRow, ...]
    requests: int

    def count(self, what: str) -> int:
        """The number of rows of which that became; `what` as in `UndoneRow`."""
        return sum(row.what == what for row in self.rows)


class ExportReceipt(base.Model, frozen=True):
    """The result of an export: what is in the file, and whether that is the complete list.

        receipt = await syncro.bulk.export_leads("all-leads.csv")
        if not receipt.complete and not receipt.truncated:
            print(receipt.reason)

    - `written`: the number of leads in the file, each in the state that the last page showed.
    - `seen`: the number of different leads that the server showed. It is larger than `written`
      when leads were deleted during the export or could not be read.
    - `repeated`: how often the server showed a lead again within one reading of the list.
    - `total_at_start`, `total_at_end`: the server's count (`meta.total`) on the first and on the
      last page.
    - `complete`: True only when it is proved that the file has every lead that was in the list
      from the first request to the last, exactly once.
    - `reason`: why `complete` is False, as a sentence; None when it is True.
    - `truncated`: True when the export stopped at `max_items`.
    - `unreadable`: the number of leads that could not be read.
    - `unreadable_file`: the path of the file with their JSON; None when `unreadable` is 0.
    - `proof`: what proves that the server showed every lead: `"page"` (the list is on one page),
      `"once"` (the leads that are older than two days were read once) or `"twice"` (every lead was
      shown before and after one moment); None when nothing proves it. docs/bulk.md has the proofs.
    - `assumption`: what the proof takes for granted, as a sentence; None without a proof.
    """

    written: int
    seen: int
    repeated: int
    total_at_start: int
    total_at_end: int
    complete: bool
    reason: str | None = None
    truncated: bool = False
    unreadable: int = 0
    unreadable_file: str | None = None
    proof: Literal["page", "once", "twice"] | None = None
    assumption: str | None = None


class SyncReceipt(base.Model, frozen=True):
    """The result of a sync.

        receipt = await syncro.bulk.sync_leads("crm.db")
        print(receipt.inserted, receipt.updated, receipt.deleted)

    - `fetched`: the number of leads that the server showed.
    - `inserted`, `updated`: the number of rows that are new in the table, or different now.
    - `since`: the run read the leads that changed after this time; None when it read all leads.
    - `until`: every change before this time is in the table, and the next run reads the changes
      after it. It is earlier than the newest date that a lead shows. None before the first complete
      run, and as long as no lead shows a date.
    - `deleted`: the number of rows that were removed because their leads no longer exist. Only a
      run that reads all leads finds them.
    - `complete`: False when some leads may be missing. Then the leads that were read are in the
      table, `until` has its value of the run before, and no row was removed; run the sync again.
    - `reason`: why `complete` is False, as a sentence; None when it is True.
    - `unreadable`: the number of leads that could not be read.
    """

    fetched: int
    inserted: int
    updated: int
    since: Moment | None = None
    until: Moment | None = None
    deleted: int = 0
    complete: bool = True
    reason: str | None = None
    unreadable: int = 0


PYTHON_ARGUMENTS: Mapping[str, str] = {
    "columns": "columns={'COLUMN': 'FIELD'}",
    "ignore": "columns={'COLUMN': None}",
    "ignore_others": "ignore_others=True",
    "header_row": "header_row=",
    "defaults": "defaults=",
    "encoding": "encoding=",
    "locale": "locale='pt-BR'",
    "match_by": "match_by=",
    "on_bad_row": "on_bad_row='set-aside'",
}
"""How the arguments that an advice names are written in Python."""

_SHOWN_LINES = 5
_SHOWN_CHARS = 60


def advice_in(advice: str, column: str | None) -> str:
    """The advice of a problem with the arguments as Python writes them."""
    text = advice.format_map(PYTHON_ARGUMENTS)
    return text if column is None else text.replace("COLUMN", column)


def shown(value: Any) -> str:
    """A value as messages show it, cut when it is long."""
    text = plain_text.shown(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def group_problems(problems: Iterable[RowProblem]) -> tuple[FailureGroup, ...]:
    """Group the problems with the same reason, the most frequent first."""
    alike: dict[tuple[str, str | None], list[RowProblem]] = {}
    for problem in problems:
        reason = f"{problem.column} {problem.reason}" if problem.column else problem.reason
        alike.setdefault((reason, problem.advice), []).append(problem)
    groups = []
    for (reason, advice), found in alike.items():
        first = found[:_SHOWN_LINES]
        values = tuple(one.value for one in first)
        known = values if any(value is not None for value in values) else ()
        lines = tuple(one.line for one in first)
        groups.append(FailureGroup(reason, len(found), lines, known, advice, first[0].column))
    return tuple(sorted(groups, key=lambda group: -group.count))
