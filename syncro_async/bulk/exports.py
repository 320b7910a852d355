"""The part of `client.bulk` that reads leads into files and databases."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Unpack

from syncro_async.bulk.estimates import Plan, make_plan
from syncro_async.bulk.exporting import job as exporting
from syncro_async.bulk.exporting.destination import csv_layout, destination_of
from syncro_async.bulk.exporting.job import Verify
from syncro_async.bulk.exporting.reader import LeadQuery
from syncro_async.bulk.job import JobContext
from syncro_async.bulk.progress import OnProgress
from syncro_async.bulk.syncing import job as syncing
from syncro_async.models.receipts import ExportReceipt, SyncReceipt
from syncro_async.models.types import ListRelation
from syncro_async.resources.arguments import LeadFilters
from syncro_async.resources.keywords import show_keywords

Form = Literal["jsonl", "csv", "xlsx", "parquet"]
Decimal = Literal["point", "comma"]


class Exports:
    """The part of `client.bulk` that reads leads into files and databases."""

    def __init__(self, context: JobContext) -> None:
        self._context = context

    @show_keywords(LeadFilters)
    async def export_leads(
        self,
        destination: str | os.PathLike[str],
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
        database: str | os.PathLike[str],
        *,
        table: str = "leads",
        include: ListRelation | Iterable[ListRelation] | None = None,
        full: bool = False,
        page_size: int = 200,
        resume: bool = True,
        on_progress: OnProgress | None = None,
    ) -> SyncReceipt:
        """Bring a table of a database up to date with the account's leads.

        `database` is a SQLite file, made if need be, or a DuckDB one when it ends in `.duckdb`
        (extra `duckdb`). The first run reads everything, the next ones what was changed since
        (one request if little was). A run with `full=True` reads everything again and removes
        the leads that are gone, which no list of changes tells of.

        Each plain field and relation of a lead is a column; lists and objects, the custom fields
        among them, are JSON. Columns of your own in that table stay as they are. A run changes
        the table in one transaction, and may be repeated, killed and started by cron at will.

        Raises `ConfigurationError` for a database or table that cannot be, for a table that is
        not one of ours or holds another account's leads, and while another run is at work;
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
        database: str | os.PathLike[str],
        *,
        table: str = "leads",
        include: ListRelation | Iterable[ListRelation] | None = None,
        full: bool = False,
        page_size: int = 200,
    ) -> Plan:
        """Foresee a sync by the budget as it stands; costs one request, for the count.

        Nothing is written. It raises what `sync_leads` raises.

        - `database`, `table`, `include`, `full`, `page_size`: as for `sync_leads`.
        """
        listing = LeadQuery(self._context.leads, _settled({"include": include}), page_size)
        requests = await syncing.requests_to_sync(
            listing, syncing.database_of(database, table), self._context, full=full
        )
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
