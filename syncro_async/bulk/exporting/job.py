"""Exports a list of leads to a file, with a receipt that says whether it is complete."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async._internal.error_text import counted
from syncro_async._internal.plain_text import shown
from syncro_async._internal.worker_thread import WorkerThread
from syncro_async.bulk.estimates import requests_for
from syncro_async.bulk.exporting.completeness import ASSUMPTIONS, Completeness
from syncro_async.bulk.exporting.destination import Destination
from syncro_async.bulk.exporting.reader import LeadQuery, RepeatedReader
from syncro_async.bulk.exporting.split import last_old_day, split
from syncro_async.bulk.exporting.spool import Spool
from syncro_async.bulk.files.atomic import atomic_write
from syncro_async.bulk.files.formats import one_line
from syncro_async.bulk.job import Job, JobContext
from syncro_async.bulk.progress import OnProgress, ProgressReporter
from syncro_async.errors import InvalidArgumentError
from syncro_async.models.receipts import ExportReceipt
from syncro_async.resources.arguments import lead_filters

Verify = Literal["once", "twice"]


def checked_verify(verify: object) -> Verify:
    """Return the same value. Raises `InvalidArgumentError` unless it is `"once"` or `"twice"`."""
    if verify not in ("once", "twice"):  # a value that has no hash is refused too
        raise InvalidArgumentError(
            ArgumentText(Argument("verify", shown(verify)), " must be 'once' or 'twice'"),
            argument="verify",
        )
    return verify


async def export_leads(
    listing: LeadQuery,
    to: Destination,
    context: JobContext,
    *,
    verify: Verify,
    resume: bool,
    on_progress: OnProgress | None,
) -> ExportReceipt:
    """Read the list into the spool until it is proved to be complete, then write the file."""
    listing.check()
    job = Job.start(context)
    meter = ProgressReporter(job, "export", on_progress)
    with job.active():
        async with WorkerThread() as thread:
            spool = await thread(opened, to.resume, thread)
            subject = subject_of(f"export {verify}", listing, context)
            await thread(spool.begin, subject, context.clock.wall(), resume=resume)
            before = await thread(partial(to.checked, resumed=spool.state.position > 0))
            reader = RepeatedReader(listing, spool, thread, meter, once=verify == "once")
            result = await reader.read_all()
            await thread(to.check_unchanged, before)
            return await thread(_finished, spool, to, result, listing.max_items)


async def requests_needed(listing: LeadQuery, context: JobContext, *, once: bool = False) -> int:
    """Return how many requests it takes to read a list that does not change; sends one request.

    With `once` the old part of the list is read once; see `export_leads`.
    """
    listing.check()
    with Job.start(context).active():
        total = await listing.leads.list(**listing.filters).count()
    everything = listing.max_items is None or listing.max_items >= total
    splits = split(listing.filters, last_old_day(context.clock.wall())) is not None
    needed = total if everything else listing.max_items or 0
    return requests_for(needed, listing.page_size, once=once and everything and splits)


def subject_of(job: str, listing: LeadQuery, context: JobContext) -> str:
    """Return a text that is equal for equal jobs only: one continues what the other has read."""
    filters = lead_filters(listing.filters)
    facts = (job, context.account, filters, listing.page_size, listing.max_items)
    return msgspec.json.encode(facts).decode()


def opened(path: Path, thread: WorkerThread) -> Spool:
    """Open the spool, which an earlier run may have left; `thread` closes it at its end."""
    spool = Spool(path)
    thread.on_exit(spool.close)
    return spool


def _finished(
    spool: Spool, to: Destination, result: Completeness, at_most: int | None
) -> ExportReceipt:
    """Write the file, and the unreadable leads beside it; then remove the spool."""
    state, seen = spool.state, spool.seen()
    written = 0

    def batches() -> Iterator[list[bytes]]:
        nonlocal written
        for batch in spool.rows(result.since, at_most):
            written += len(batch)
            yield batch

    with atomic_write(to.path) as out:
        to.write(out, batches())
    unreadable, first = spool.unreadable(result.since)
    problem = f"{counted(unreadable, 'lead')} could not be read; the first: {first}"
    aside = _set_aside(spool, to, result.since) if unreadable else None
    spool.discard()
    return ExportReceipt(
        written=written,
        seen=seen,
        repeated=state.repeated,
        total_at_start=state.total_at_start,
        total_at_end=state.total_at_end,
        complete=result.complete and not unreadable,
        reason="; ".join(filter(None, (result.reason, problem if unreadable else None))) or None,
        truncated=result.truncated,
        proof=result.proof,
        assumption=ASSUMPTIONS[result.proof] if result.proof else None,
        unreadable=unreadable,
        unreadable_file=aside,
    )


def _set_aside(spool: Spool, to: Destination, since: int) -> str:
    """Write the JSON of the unreadable leads to a file of its own; return its path."""
    aside = to.free_aside()
    with atomic_write(aside) as out:
        for batch in spool.rows(since, readable=False):
            out.writelines(one_line(raw) + b"\n" for raw in batch)
    return str(aside)
