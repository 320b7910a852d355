"""The jobs that read many leads, as `client.bulk` offers them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Literal

from syncro_async.bulk import exporting, syncing
from syncro_async.bulk.export_reading import Listing
from syncro_async.bulk.ground import Ground
from syncro_async.bulk.plan import Plan, foreseen
from syncro_async.bulk.progress import OnProgress
from syncro_async.receipts import ExportReceipt, SyncReceipt

Form = Literal["jsonl", "csv", "parquet"]


class Exports:
    """The part of `client.bulk` that reads leads into files and databases."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def export_leads(
        self,
        destination: str | os.PathLike[str],
        *,
        pipeline_id: int | None = None,
        stage_id: int | None = None,
        assigned_to: int | None = None,
        source: str | None = None,
        status: str | None = None,
        tags: str | Iterable[str] | None = None,
        q: str | None = None,
        updated_since: datetime | date | None = None,
        created_from: datetime | date | None = None,
        created_to: datetime | date | None = None,
        include: str | Iterable[str] | None = None,
        page_size: int = 200,
        max_items: int | None = None,
        format: Form | None = None,
        resume: bool = True,
        on_progress: OnProgress | None = None,
    ) -> ExportReceipt:
        """Export the account's leads, or those that pass every filter given, to a file.

        `destination` ends in `.jsonl`, `.csv` or `.parquet` (extra `parquet`), or `format` says
        which it is. The file gets its name when it is whole; until then what was read is kept in
        `DESTINATION.resume`, and after a crash, an error or Ctrl-C the same call goes on from
        there, within a day; with `resume=False` it begins anew. Leads that cannot be read go as
        they came to `DESTINATION.unreadable.jsonl`.

        The list is read until it is proved that no lead was missed while others came and went
        (`ExportReceipt.complete`): one request for a list on one page, as a rule two readings of
        any other, and at most 25.

        Raises `ConfigurationError` for a destination that cannot be, or that another run is
        writing; `OSError` for what the file system refuses, before the first request where that
        can be known; `ValueError` and the errors of `syncro_async.errors` as `leads.list` does.
        """
        listing = self._listing(locals())
        to = exporting.destination_of(destination, format)
        return await exporting.export_leads(
            listing, to, self._ground, resume=resume, on_progress=on_progress
        )

    async def plan_export(
        self,
        *,
        pipeline_id: int | None = None,
        stage_id: int | None = None,
        assigned_to: int | None = None,
        source: str | None = None,
        status: str | None = None,
        tags: str | Iterable[str] | None = None,
        q: str | None = None,
        updated_since: datetime | date | None = None,
        created_from: datetime | date | None = None,
        created_to: datetime | date | None = None,
        include: str | Iterable[str] | None = None,
        page_size: int = 200,
        max_items: int | None = None,
    ) -> Plan:
        """Foresee an export by the budget as it stands; costs one request, for the count.

        Counted are the two readings of a list that stands still. Raises what `leads.list` and its
        first page do.
        """
        requests = await exporting.requests_needed(self._listing(locals()), self._ground)
        return foreseen(requests, self._ground)

    async def sync_leads(
        self,
        database: str | os.PathLike[str],
        *,
        table: str = "leads",
        include: str | Iterable[str] | None = None,
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
        `OSError`, `ValueError` and the errors of `syncro_async.errors` as `export_leads` does.
        """
        listing = Listing(self._ground.leads, _settled({"include": include}), page_size)
        return await syncing.sync_leads(
            listing,
            syncing.database_of(database, table),
            self._ground,
            full=full,
            resume=resume,
            on_progress=on_progress,
        )

    async def plan_sync(
        self,
        database: str | os.PathLike[str],
        *,
        table: str = "leads",
        include: str | Iterable[str] | None = None,
        full: bool = False,
        page_size: int = 200,
    ) -> Plan:
        """Foresee a sync by the budget as it stands; costs one request, for the count.

        The arguments are those of `sync_leads`, and so is what it raises; nothing is written.
        """
        listing = Listing(self._ground.leads, _settled({"include": include}), page_size)
        requests = await syncing.requests_to_sync(
            listing, syncing.database_of(database, table), self._ground, full=full
        )
        return foreseen(requests, self._ground)

    def _listing(self, arguments: dict[str, Any]) -> Listing:
        filters = _settled({name: arguments[name] for name in exporting.FILTERS})
        return Listing(self._ground.leads, filters, arguments["page_size"], arguments["max_items"])


def _settled(filters: dict[str, Any]) -> dict[str, Any]:
    """The filters that are given; an iterable is used up once, for they are sent with each page."""
    given = {name: value for name, value in filters.items() if value is not None}
    for name in ("tags", "include"):
        if isinstance(given.get(name), Iterable) and not isinstance(given[name], str):
            given[name] = list(given[name])
    return given
