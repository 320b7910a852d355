"""The jobs of many calls, as `client.bulk` offers them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack

from syncro_async.bulk.concurrent_map import Function, Items, MapContext
from syncro_async.bulk.estimates import Plan, make_plan
from syncro_async.bulk.exporting import job as exporting
from syncro_async.bulk.exporting.destination import csv_layout, destination_of
from syncro_async.bulk.exporting.job import Verify
from syncro_async.bulk.exporting.reader import LeadQuery
from syncro_async.bulk.importing.fields import Kind
from syncro_async.bulk.importing.job import Import
from syncro_async.bulk.importing.options import (
    ARGUMENT_DEFAULTS,
    ImportArguments,
    ReadingArguments,
    options_of,
)
from syncro_async.bulk.importing.plan import TagsMode
from syncro_async.bulk.importing.staging import Source
from syncro_async.bulk.importing.undo import undo_import
from syncro_async.bulk.job import Job, JobContext
from syncro_async.bulk.progress import OnProgress
from syncro_async.bulk.syncing import job as syncing
from syncro_async.models.receipts import ExportReceipt, ImportSummary, SyncReceipt, UndoSummary
from syncro_async.models.types import ListRelation
from syncro_async.resources.arguments import LeadFilters, MatchBy
from syncro_async.resources.keywords import show_keywords
from syncro_async.transport.values import refuse_url

T = TypeVar("T")
R = TypeVar("R")

Form = Literal["jsonl", "csv", "xlsx", "parquet"]
Decimal = Literal["point", "comma"]


class Bulk:
    """Jobs of many calls, `client.bulk`.

        print(syncro.bulk.plan(50_000).finishes_at)

    Their calls use the bulk lane, in which interactive calls on the same key go first, and wait
    there as long as necessary: `max_wait` does not apply to them. For another lane use
    `client.with_options(lane=…).bulk`.
    """

    def __init__(self, context: JobContext) -> None:
        self._context = context

    def map(
        self,
        function: Function[T, R],
        items: Items[T],
        *,
        concurrency: int = 20,
        ordered: bool = False,
        on_progress: OnProgress | None = None,
    ) -> MapContext[T, R]:
        """Await `function(item)` for every item, `concurrency` of them at once.

            async with syncro.bulk.map(syncro.leads.get, ids) as outcomes:
                async for outcome in outcomes:
                    match outcome:
                        case Succeeded(item=id, value=lead): print(id, lead.name)
                        case Failed(item=id, error=error): print(id, error)

        `items` may be any iterable, sync or async, of any length: at most 2 × `concurrency` of
        them are taken and not yet read as outcomes. Outcomes come as they finish, or in the items'
        order with `ordered`. An exception of one item is that item's `Failed`; one of the items
        themselves is raised once what was begun has been handed out. Leaving the block cancels
        what runs and waits for it.

        Calls that the function makes with this client use the job's lane, unless they go
        through a view whose lane was chosen with `with_options(lane=…)`.

        Raises `InvalidArgumentError` for a `concurrency` below 1.

        - `on_progress`: is given a `Progress` after each item, see `ProgressBar`.
        """
        return MapContext(
            Job.start(self._context),
            function,
            items,
            concurrency=concurrency,
            ordered=ordered,
            on_progress=on_progress,
        )

    @show_keywords(ImportArguments, ARGUMENT_DEFAULTS)
    async def upsert_leads(
        self,
        rows: Source,
        *,
        match_by: MatchBy = "email_or_phone",
        diff: bool = True,
        tags_mode: TagsMode = "add",
        **arguments: Unpack[ImportArguments],
    ) -> ImportSummary:
        """Update the lead of each row, or create it: every row once, whatever happens on the way.

            summary = await syncro.bulk.upsert_leads("leads.csv", journal="leads.journal")

        `rows`: a file (`.csv`, `.tsv`, `.txt`, `.xlsx`, `.jsonl` or `.parquet`, each also with
        `.gz`, or `"-"` for the standard input; extras `files` and `parquet`), a data frame of
        pandas or polars, or mappings, structs or dataclasses from an iterable, sync or async. A
        column holds the field whose name it has, in English or Portuguese, or the custom field of
        `custom_fields.NAME`. Columns that an export writes and no request can change are left out.
        Text becomes what the field takes: numbers (`1.234,50`), lists (`a, b`), phones in E.164.
        Invisible characters and wrappers such as `="…"` are removed. Empty cells are not sent.

        - `match_by`: `"email"`, `"phone"` or `"email_or_phone"`: how the lead of a row is found.
        - `columns`: other names of columns to fields, `"First+Last"` for two that hold one field
          together, None for a column that is left out.
        - `ignore_others`: leave out every column that holds no field; else it is refused.
        - `defaults`: values of fields that a row has not.
        - `definitions`: the custom fields, which are asked of the account unless given.
        - `locale`: `"pt-BR"` or `"en-US"`: how numbers, dates and phones are written; default:
          SYNCRO_LOCALE. Without it `1.500`, `03/04/2026` or a phone without `+` is refused.
        - `encoding`: the encoding of a text file, by default found from its bytes; `header_row`:
          the line of the column names, by default the first line that is not blank.
        - `on_bad_row`: `"stop"` sends nothing when a row cannot be imported, `"set-aside"` sends
          the other rows. The bad rows are in `failures`, each with its line, value and reason.

        Before the first row is sent all are checked, and `BadRowsError` tells everything that is
        wrong. Rows of one lead are sent in their order, one after the other; a row that repeats
        the one before is not sent.

        - `journal`: a SQLite file that stores the state of each row. After a crash at any moment,
          run again with the same rows, options, account and journal: what is done is skipped, what
          was not sent is sent, and then what failed is tried again. It holds the rows, and never
          the API key.
        - `resume`: continue with a journal that exists; False: discard it and start again.
        - `failures`: a file for the rows that are not done, with their columns and `syncro_error`,
          in the format of its name, to be corrected and imported. A file that the import did not
          write is not replaced: `summary.failures_file` says where the rows are then.
        - `canary`: the first so many rows go alone, and if all fail alike the job stops (0: none).
          A run that continues a journal sends no canary.
        - `max_failures`: more failures that are alike stop the job (None: 20, or 1 % of the rows).
        - `server_time_limit`: how long the server may work on one request at most (s, default 30).
          So long the job waits after a lost answer, before it reads the leads that were created
          since to find out whether the row was carried out.
        - `max_outage`: how long the job waits for a server that cannot be reached any more (s,
          default 900). Then it stops; no row fails because of it.
        - `diff`: find the leads of the rows first (default), by a reading of all leads, 200 a
          request, or by a search for each key, whichever takes fewer requests. A lead that exists
          gets only what the row has and what differs: `defaults` are for leads that are created,
          empty cells change nothing, and a key that two leads have is refused. With False every
          row is sent with the defaults, which can move a won deal back to the first stage. A lead
          that is created between the comparison and its row still gets the defaults.
        - `tags_mode`: what a row's tags do to a lead that exists: `"add"` (default) those that it
          lacks, `"replace"` them, or `"skip"`: only new leads get tags. Tags take a call of their
          own.
        - `allow_sales`: send rows that move leads to a won or lost stage, which records a sale or
          a loss. By default such an import is refused, and the message counts the rows.
        - `report`: a `.jsonl` file with one line for each row: its line, outcome, lead id, and each
          field that changed with its old and new value. `undo_import` takes an import back by it.
        - `dry_run`: compare, and send nothing; `summary.changes` says what would be, with the
          counts and lead ids of the real run.
        - `on_source`: is given a `SourceReport` before the first row is sent.
        - `on_progress`: is given a `Progress` after each row, see `ProgressBar`.

        Raises `InvalidArgumentError` for arguments that cannot be, `OSError` for files,
        `BadRowsError`, `ConfigurationError` for a journal of other rows, options or another account
        and for one in use, and `ImportStoppedError`, with the summary so far, when the job stops
        early: at the limits above, at a key that is refused, and when the plan holds no more leads.
        """
        compared: dict[str, Any] = {"match_by": match_by, "diff": diff, "tags_mode": tags_mode}
        options = options_of("upsert", rows, arguments, self._context, **compared)
        return await Import(self._context, options).run()

    @show_keywords(ImportArguments, ARGUMENT_DEFAULTS)
    async def create_leads(
        self, rows: Source, **arguments: Unpack[ImportArguments]
    ) -> ImportSummary:
        """Create a lead for each row, as `upsert_leads` does but for the matching.

        Every row needs `name`, `pipeline_id` and `stage_id`, by its columns or by `defaults`, and
        no row may be there twice. Tags go with the other fields, in one request. After a lost
        answer all leads that were created since the job began are read. If no unexplained lead can
        be the row's, it is sent again. If exactly one has its name and its keys, it is the row's.
        Else the row is in doubt: `summary.doubts` names the leads, and the row is never sent again
        by itself.

        - `rows`, `columns`, `defaults`, `definitions`, `journal`, `failures`, `canary`,
          `max_failures`, `server_time_limit`, `max_outage`, `allow_sales`, `report`, `dry_run`,
          `on_progress`, `locale`, `on_bad_row`, `resume`, `encoding`, `header_row`,
          `ignore_others`, `on_source`: as for `upsert_leads`.
        """
        options = options_of("create", rows, arguments, self._context)
        return await Import(self._context, options).run()

    async def undo_import(
        self, report: str | PathLike[str], *, dry_run: bool = False
    ) -> UndoSummary:
        """Take an import back: delete the leads that it created, restore what it changed.

        A lead is deleted only if it still has the name and the keys of its row, and a field is
        restored only if it still has the value that the import gave it. What was empty before
        cannot be emptied again, because no request of the API empties a field. A sale or a loss
        that a stage has recorded is not taken back either. It may be run again after an error.

        - `report`: the file that the import wrote with `report=`
        - `dry_run`: read the leads and say what would be done, and do nothing

        Raises `InvalidArgumentError` for a file that is not a report, `OSError`, and the errors of
        `syncro_async.errors` as `leads.list` and `leads.upsert` do.
        """
        refuse_url("report", report)
        return await undo_import(self._context, Path(report), dry_run=dry_run)

    @show_keywords(ReadingArguments, ARGUMENT_DEFAULTS)
    async def plan_import(
        self,
        rows: Source,
        *,
        create: bool = False,
        match_by: MatchBy = "email_or_phone",
        diff: bool = True,
        tags_mode: TagsMode = "add",
        **arguments: Unpack[ReadingArguments],
    ) -> Plan:
        """Say how long an import would take at most, and when it would be done; sends nothing.

        The arguments are those of `upsert_leads`, or with `create` of `create_leads`. The rows are
        read and checked; with a `journal` that was begun, what it says is done does not count.
        With `diff` the number of leads is asked for. Where the server wants name, pipeline and
        stage with each update, an update takes one request more, which is not known beforehand.
        Raises what the import raises before it sends.

        - `rows`, `match_by`, `columns`, `defaults`, `definitions`, `diff`, `tags_mode`, `locale`,
          `on_bad_row`, `encoding`, `header_row`, `ignore_others`: as for `upsert_leads`.
        """
        compared: dict[str, Any] = {"match_by": match_by, "diff": diff, "tags_mode": tags_mode}
        kind: Kind = "create" if create else "upsert"
        options = options_of(kind, rows, arguments, self._context, ReadingArguments, **compared)
        return self.plan(await Import(self._context, options).requests_needed())

    @show_keywords(LeadFilters)
    async def export_leads(
        self,
        destination: str | PathLike[str],
        *,
        page_size: int = 200,
        max_items: int | None = None,
        format: Form | None = None,
        delimiter: str = ",",
        bom: bool = False,
        decimal: Decimal = "point",
        force: bool = False,
        verify: Verify = "once",
        resume: bool = True,
        on_progress: OnProgress | None = None,
        **filters: Unpack[LeadFilters],
    ) -> ExportReceipt:
        """Export the account's leads to a file, all of them or those that pass every filter.

            receipt = await syncro.bulk.export_leads("vip.csv", tags=["vip"])

        The file appears when it is complete. Until then the leads are kept in
        `DESTINATION.resume`. Leads that cannot be read are written as they came to
        `DESTINATION.unreadable.jsonl`. Only the owner can read these files.

        - `destination`: the file; it ends in `.jsonl`, `.csv`, `.xlsx` (extra `files`) or
          `.parquet` (extra `parquet`). An earlier export is replaced, any other file is not.
        - `pipeline_id`, `stage_id`, `assigned_to`, `source`, `status`, `tags`, `q`,
          `updated_since`, `created_from`, `created_to`, `include`: as in `leads.list`
        - `page_size`: the leads for each request, 1 to 200
        - `max_items`: the largest number of leads; None: no limit
        - `format`: the format, when the name of the file does not say it
        - `delimiter`: the character between the cells of a CSV file: `,` `;` `|` or a tab
        - `bom`: start a CSV file with the byte order mark, by which Excel knows UTF-8
        - `decimal`: `"comma"` writes 1234,5 in a CSV file, `"point"` 1234.5
        - `force`: replace any file at `destination`
        - `verify`: `"once"` reads the leads that are older than two days once, and proves that none
          of them was missed; a list with another filter than `created_from` and `created_to` is
          read twice all the same. `"twice"` reads every list twice, and assumes less.
          `ExportReceipt.assumption` and docs/bulk.md say what each assumes. A list on one page
          takes one request, and no list is read more than 25 times.
        - `resume`: continue an interrupted export to this file, for a day; False: begin again
        - `on_progress`: called with a `Progress` after each page or group of pages

        Raises `ConfigurationError` for a destination that cannot be written, that no export has
        made, or that another run writes; `OSError` for what the file system refuses, before the
        first request where that can be known; the other errors of `syncro_async.errors` as
        `leads.list` does.
        """
        listing = self._listing(filters, page_size, max_items)
        layout = csv_layout(delimiter, bom=bom, decimal=decimal)
        to = destination_of(destination, format, layout, force=force)
        return await exporting.export_leads(
            listing,
            to,
            self._context,
            verify=exporting.checked_verify(verify),
            resume=resume,
            on_progress=on_progress,
        )

    @show_keywords(LeadFilters)
    async def plan_export(
        self,
        *,
        page_size: int = 200,
        max_items: int | None = None,
        verify: Verify = "once",
        **filters: Unpack[LeadFilters],
    ) -> Plan:
        """Estimate how long an export takes with the present budget; sends one request.

        The estimate is for a list that does not change. Raises what `leads.list` and its first page
        raise.

        - `pipeline_id`, `stage_id`, `assigned_to`, `source`, `status`, `tags`, `q`,
          `updated_since`, `created_from`, `created_to`, `include`: the filters of `leads.list`
        - `page_size`, `max_items`, `verify`: as for `export_leads`
        """
        requests = await exporting.requests_needed(
            self._listing(filters, page_size, max_items),
            self._context,
            once=exporting.checked_verify(verify) == "once",
        )
        return make_plan(requests, self._context)

    async def sync_leads(
        self,
        database: str | PathLike[str],
        *,
        table: str = "leads",
        include: ListRelation | Iterable[ListRelation] | None = None,
        full: bool = False,
        page_size: int = 200,
        resume: bool = True,
        on_progress: OnProgress | None = None,
    ) -> SyncReceipt:
        """Bring a table of a database up to date with the account's leads.

        `database` is an SQLite file, or a DuckDB file when its name ends in `.duckdb` (extra
        `duckdb`). It is created when it does not exist. The first run reads all leads; later runs
        read what has changed (one request if that is one page). A run with `full=True` reads all
        leads again and removes
        the leads that were deleted, which no list of changes shows.

        Each plain field and relation of a lead is a column; lists and objects, the custom fields
        among them, are JSON. Columns that you add to the table are not changed. A run changes the
        table in one transaction, so it may be repeated or killed at any moment.

        Raises `ConfigurationError` for a database or table that cannot be used, for a table that no
        sync has made, for another account's leads, and while another run uses the table;
        `OSError`, and the other errors of `syncro_async.errors` as `export_leads` does.

        - `table`: the name of the table (default `leads`).
        - `include`: relations to store, as for `leads.list`.
        - `page_size`: leads a page, 1 to 200 (default 200).
        - `resume`: continue a reading that was interrupted within a day (default True).
        - `on_progress`: is given a `Progress` after each step, see `ProgressBar`.
        """
        listing = LeadQuery(self._context.leads, _settled({"include": include}), page_size)
        return await syncing.sync_leads(
            listing,
            syncing.database_of(database, table),
            self._context,
            full=full,
            resume=resume,
            on_progress=on_progress,
        )

    async def plan_sync(
        self,
        database: str | PathLike[str],
        *,
        table: str = "leads",
        include: ListRelation | Iterable[ListRelation] | None = None,
        full: bool = False,
        page_size: int = 200,
    ) -> Plan:
        """Estimate how long a sync takes with the present budget; sends one request.

        Nothing is written. Raises what `sync_leads` raises.

        - `database`, `table`, `include`, `full`, `page_size`: as for `sync_leads`.
        """
        listing = LeadQuery(self._context.leads, _settled({"include": include}), page_size)
        requests = await syncing.requests_to_sync(
            listing, syncing.database_of(database, table), self._context, full=full
        )
        return make_plan(requests, self._context)

    def plan(self, requests: int) -> Plan:
        """Say how long that many requests would take from now, and when they would be done.

        Nothing is sent. It counts with the budget as it is now, everything that already waits in
        the queue, and the latency measured so far. Raises `InvalidArgumentError` for
        a negative number.

        - `requests`: how many, 0 or more.
        """
        return make_plan(requests, self._context)

    def _listing(
        self, filters: Mapping[str, Any], page_size: int, max_items: int | None
    ) -> LeadQuery:
        return LeadQuery(self._context.leads, _settled(filters), page_size, max_items)


def _settled(filters: Mapping[str, Any]) -> dict[str, Any]:
    """The filters that are given; an iterable is used up once, for they are sent with each page."""
    given = {name: value for name, value in filters.items() if value is not None}
    for name in ("tags", "include"):
        if isinstance(given.get(name), Iterable) and not isinstance(given[name], str):
            given[name] = list(given[name])
    return given
