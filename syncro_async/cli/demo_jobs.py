"""What `syncro demo` does after its export: an import, and two syncs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncro_async import AsyncClient, ImportSummary, SyncReceipt
from syncro_async.cli.endings import DONE, CommandFailedError
from syncro_async.cli.watching import watching

BOOK, ROWS = 400, 150


@dataclass(frozen=True, slots=True)
class JobsDone:
    """What became of the rows, and what the first and the second sync brought."""

    summary: ImportSummary
    first: SyncReceipt
    second: SyncReceipt

    @property
    def spotless(self) -> bool:
        """Every row made one lead, and the table got all of them at once."""
        made = self.summary.created == ROWS and self.first.inserted == BOOK + ROWS
        return made and self.first.complete and not (self.second.inserted or self.second.updated)

    def lines(self, refused: int) -> Sequence[str]:
        """The report, for people."""
        done, first, second = self.summary, self.first, self.second
        sent = f"{done.requests} requests in {done.seconds:.2f} s"
        again = f"{second.inserted} new, {second.updated} changed"
        return (
            f"import          {ROWS} rows: {done.created} created, {done.failed} failed, {sent}",
            f"sync            {first.inserted} leads to a new SQLite table; at once again: {again}",
            f"429s of both    {refused}",
        )


async def import_and_sync(client: AsyncClient, folder: Path) -> JobsDone:
    """Import some rows, then bring a database up to date twice; all files are in `folder`."""
    rows = [{"name": f"Row {n}", "email": f"row-{n}@example.com"} for n in range(ROWS)]
    with watching() as tell:
        summary = await client.bulk.upsert_leads(
            rows,
            defaults={"pipeline_id": 1, "stage_id": 4},
            journal=folder / "rows.journal",
            on_progress=tell,
        )
    database = folder / "crm.db"
    first = await client.bulk.sync_leads(database)
    return JobsDone(summary, first, await client.bulk.sync_leads(database))


def report_jobs(done: JobsDone, refused: Callable[[], int]) -> int:
    """Print the report. Raises `CommandFailedError` when a row was lost or a 429 drawn."""
    number = refused()
    sys.stdout.write("\n".join(done.lines(number)) + "\n")
    if number or not done.spotless:
        raise CommandFailedError("rows were lost or requests refused, which must never happen")
    return DONE
