"""Keeps a table of a database up to date with the account's leads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async._internal.error_text import counted
from syncro_async._internal.worker_thread import WorkerThread
from syncro_async.bulk.exporting.completeness import Completeness
from syncro_async.bulk.exporting.job import opened, requests_needed, subject_of
from syncro_async.bulk.exporting.reader import LeadQuery, RepeatedReader
from syncro_async.bulk.exporting.spool import ReadProgress, Spool
from syncro_async.bulk.job import Job, JobContext
from syncro_async.bulk.progress import OnProgress, ProgressReporter
from syncro_async.bulk.syncing.databases import Database, database_of
from syncro_async.bulk.syncing.tables import SyncMark
from syncro_async.errors import ConfigurationError
from syncro_async.models.receipts import SyncReceipt
from syncro_async.resources.arguments import relations

__all__ = ["SyncReceipt", "database_of", "requests_to_sync", "sync_leads"]

# A change is dated before it can be seen, because its transaction ends later. So each run looks
# back that much further than the newest change that the last one saw.
OVERLAP = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Task:
    """The account, the relations, the time since when to read, and the mark of the last run."""

    account: str
    include: str
    since: datetime | None
    last: SyncMark | None

    @property
    def as_before(self) -> SyncMark:
        """The mark when nothing new is certain."""
        return self.last or SyncMark(self.account, self.include, None)


async def sync_leads(
    everything: LeadQuery,
    database: Database,
    context: JobContext,
    *,
    full: bool,
    resume: bool,
    on_progress: OnProgress | None,
) -> SyncReceipt:
    """Read the changes into the spool until they are proved to be complete, then merge them."""
    everything.check()
    job = Job.start(context)
    meter = ProgressReporter(job, "sync", on_progress)
    with job.active():
        async with WorkerThread() as thread:
            # This locks the file: of two runs one ends here.
            spool = await thread(opened, database.resume, thread)
            task = await thread(_task, everything, database, context, full=full)
            listing = _changed(everything, task.since)
            subject = subject_of(f"sync {database.table}", listing, context)
            await thread(spool.begin, subject, context.clock.wall(), resume=resume)
            reader = RepeatedReader(listing, spool, thread, meter)
            result = await reader.read_all()
            return await thread(_merged, spool, database, result, task)


async def requests_to_sync(
    everything: LeadQuery, database: Database, context: JobContext, *, full: bool
) -> int:
    """Return how many requests a sync takes; sends one, for the count."""
    everything.check()
    async with WorkerThread() as thread:
        task = await thread(_task, everything, database, context, full=full)
    return await requests_needed(_changed(everything, task.since), context)


def _task(everything: LeadQuery, database: Database, context: JobContext, *, full: bool) -> _Task:
    """Return what to read, by the mark of the last run in the database."""
    include, mark = _include(everything), None
    if database.path.exists():
        with database.opened() as table:
            mark = table.read_mark()
    if mark is not None and mark.account != context.account:
        raise ConfigurationError(
            ArgumentText(
                f"table {database.table} has another account's leads, or another key's (only the"
                " key tells accounts apart); name another table with ",
                Argument("table", "…"),
                ", or drop this one",
            )
        )
    # A list of changes does not bring new relations for leads that have not changed.
    known = mark is not None and mark.include == include and not full
    return _Task(context.account, include, mark.until if mark and known else None, mark)


def _include(listing: LeadQuery) -> str:
    names = relations("include", listing.filters.get("include") or ())
    return ",".join(sorted(set((names or "").split(","))))


def _changed(everything: LeadQuery, since: datetime | None) -> LeadQuery:
    """Return the list of the changes since then; None: all leads."""
    if since is None:
        return everything
    return replace(everything, filters={**everything.filters, "updated_since": since})


def next_mark(state: ReadProgress, last: SyncMark | None) -> datetime | None:
    """Return the time after which the next run reads the changes; `last` is the last run's mark.

    Three clocks can differ: this machine's, that of the `Date` header, and the one which dates the
    leads and which `updated_since` is compared with. A change that happens later is dated later
    than every date that this last clock has given. So the mark is the newest date that a lead
    shows, less the overlap: 5 minutes and the difference between the first two clocks. Dates after
    the server's `Date` are ignored. When no lead has a date, the mark stays where it was.
    """
    before = last.until if last else None
    if state.newest_change is None:
        return before
    drift = 0.0 if state.server_time is None else abs(state.server_time - state.started_at)
    # Without fractions: what the server compares with may have none.
    newest = datetime.fromtimestamp(int(state.newest_change - drift), UTC) - OVERLAP
    return max(newest, before) if before else newest


def _merged(spool: Spool, database: Database, result: Completeness, task: _Task) -> SyncReceipt:
    """Merge the leads into the table, then remove the spool."""
    unreadable, first = spool.unreadable(result.since)
    problem = f"{counted(unreadable, 'lead')} could not be read; the first: {first}"
    complete = result.complete and not unreadable
    mark = SyncMark(task.account, task.include, next_mark(spool.state, task.last))
    mark = mark if complete else task.as_before
    with database.opened() as table:
        merged = table.merge(
            spool.rows(result.since),
            mark=mark,
            alive=spool.ids(result.since) if complete and task.since is None else None,
        )
    fetched = spool.seen()
    spool.discard()
    return SyncReceipt(
        fetched=fetched,
        inserted=merged.inserted,
        updated=merged.updated,
        since=task.since,
        until=mark.until,
        deleted=merged.deleted,
        complete=complete,
        reason="; ".join(filter(None, (result.reason, problem if unreadable else None))) or None,
        unreadable=unreadable,
    )
