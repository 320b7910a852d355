"""Exports a list of leads to a file, with a receipt that says what it is worth."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from syncro_async._internal.worker_thread import WorkerThread
from syncro_async.bulk.estimates import requests_for
from syncro_async.bulk.exporting.completeness import Completeness
from syncro_async.bulk.exporting.reader import LeadQuery, RepeatedReader
from syncro_async.bulk.exporting.spool import Spool
from syncro_async.bulk.files.atomic import atomic_write
from syncro_async.bulk.files.formats import FORMS, Write, form_of, one_line
from syncro_async.bulk.job import Job, JobContext
from syncro_async.bulk.progress import OnProgress, ProgressReporter
from syncro_async.errors import ConfigurationError
from syncro_async.models.receipts import ExportReceipt
from syncro_async.resources.arguments import lead_filters


@dataclass(frozen=True, slots=True)
class Destination:
    """The file an export goes to, and those beside it."""

    path: Path
    write: Write

    @property
    def resume(self) -> Path:
        """Where the leads read so far are kept until the export is done."""
        return self.path.with_name(f"{self.path.name}.resume")

    @property
    def aside(self) -> Path:
        """Where the JSON of leads goes that cannot be read."""
        return self.path.with_name(f"{self.path.name}.unreadable.jsonl")


def destination_of(file: str | os.PathLike[str], form: str | None) -> Destination:
    """Where FILE stands and what it is to be, by `form` or else by its suffix.

    Raises `ConfigurationError` for a suffix that names no form, for one whose library is
    missing, and for what is there and is no file: now, not when the last page has come.
    """
    # Of a link, the file it points to: what is kept beside has to stay on the same disk.
    path = Path(file).resolve()
    name = path.suffix.lower().removeprefix(".") if form is None else form
    if form is None and name not in FORMS:
        raise ConfigurationError(
            f"{os.fspath(file)}: the file must end in .jsonl, .csv or .parquet, or the format be"
            " given"
        )
    if path.exists() and not path.is_file():
        raise ConfigurationError(f"{os.fspath(file)}: is there and is no regular file")
    return Destination(path, form_of(name))


async def export_leads(
    listing: LeadQuery,
    to: Destination,
    context: JobContext,
    *,
    resume: bool,
    on_progress: OnProgress | None,
) -> ExportReceipt:
    """Read the list into the file beside, until it is known to be whole, then write the file."""
    listing.check()
    job = Job.start(context)
    meter = ProgressReporter(job, "export", on_progress)
    with job.active():
        async with WorkerThread() as thread:
            spool = await thread(opened, to.resume, thread)
            subject = subject_of("export", listing, context)
            await thread(spool.begin, subject, context.clock.wall(), resume=resume)
            reading = RepeatedReader(listing, spool, thread, meter)
            verdict = await reading.read_all()
            return await thread(_finished, spool, to, verdict, listing.max_items)


async def requests_needed(listing: LeadQuery, context: JobContext) -> int:
    """How many requests it takes to read a list that stands still; one request, for the count."""
    listing.check()
    with Job.start(context).active():
        total = await listing.leads.list(**listing.filters).count()
    if listing.max_items is not None:
        total = min(total, listing.max_items)
    return requests_for(total, listing.page_size)


def subject_of(job: str, listing: LeadQuery, context: JobContext) -> str:
    """What tells one reading from another: a crashed one is gone on with only by the same."""
    filters = lead_filters(listing.filters)
    facts = (job, context.account, filters, listing.page_size, listing.max_items)
    return msgspec.json.encode(facts).decode()


def opened(path: Path, thread: WorkerThread) -> Spool:
    """Open what an earlier run may have left, and see to it that it is closed again."""
    spool = Spool(path)
    thread.on_exit(spool.close)
    return spool


def _finished(
    spool: Spool, to: Destination, verdict: Completeness, at_most: int | None
) -> ExportReceipt:
    """Write the file and what belongs beside it; then what was kept for a crash can go."""
    state, seen = spool.state, spool.seen()
    written = 0

    def counted() -> Iterator[list[bytes]]:
        nonlocal written
        for lot in spool.rows(verdict.since, at_most):
            written += len(lot)
            yield lot

    with atomic_write(to.path) as out:
        to.write(out, counted())
    unreadable, problem = _set_aside(spool, to.aside, verdict.since)
    spool.discard()
    return ExportReceipt(
        written=written,
        seen=seen,
        repeated=state.repeated,
        total_at_start=state.total_at_start,
        total_at_end=state.total_at_end,
        complete=verdict.complete and not unreadable,
        reason="; ".join(filter(None, (verdict.reason, problem))) or None,
        truncated=verdict.truncated,
        unreadable=unreadable,
        unreadable_file=str(to.aside) if unreadable else None,
    )


def _set_aside(spool: Spool, aside: Path, since: int) -> tuple[int, str | None]:
    """Write the JSON of the unreadable leads to its own file; return their number and the reason.

    Without such leads the file of an earlier export is removed: it would look like a new one.
    """
    count, first = spool.unreadable(since)
    if not count:
        aside.unlink(missing_ok=True)
        return 0, None
    with atomic_write(aside) as out:
        for lot in spool.rows(since, readable=False):
            out.writelines(one_line(raw) + b"\n" for raw in lot)
    return count, f"{count} leads could not be read; the first: {first}"
