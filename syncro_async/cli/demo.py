"""`syncro demo`: an export, an import and two syncs with a sandbox, in a folder that is kept."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncro_async import AsyncClient, ImportSummary, RateLimit, SyncReceipt
from syncro_async.cli.exits import DONE, CommandFailedError, WrongUsageError, extra
from syncro_async.cli.output import counted, show_progress
from syncro_async.events import AnswerReceived, Event, Observer, RequestSent

_REFUSED = 429


@dataclass(slots=True)
class DemoStats:
    """An observer that counts what went out and what came back (monotonic seconds)."""

    requests: int = 0
    answers: int = 0
    refused: int = 0
    latency: float = 0.0
    first_sent_at: float | None = None
    last_answer_at: float | None = None

    def __call__(self, event: Event) -> None:
        """Take one event of the client."""
        if isinstance(event, RequestSent):
            self.requests += 1
            if self.first_sent_at is None:
                self.first_sent_at = event.at
        elif isinstance(event, AnswerReceived):
            self.answers += 1
            self.refused += event.status == _REFUSED
            self.latency += event.latency
            self.last_answer_at = event.at

    @property
    def elapsed(self) -> float:
        """Seconds from the first send to the headers of the last answer; 0 before both."""
        if self.first_sent_at is None or self.last_answer_at is None:
            return 0.0
        return self.last_answer_at - self.first_sent_at

    @property
    def mean_latency(self) -> float:
        """Seconds from a send to the headers of its answer, on average; 0 before any."""
        return self.latency / self.answers if self.answers else 0.0


def share_of_bound(tally: DemoStats, rate: RateLimit) -> float | None:
    """The time the budget makes unavoidable over the time it took; 1.0 cannot be beaten.

    A slot returns `seconds + guard` after the answer it paid for, so n requests need at least
    floor((n - 1) / calls) such rounds of seconds + guard + mean latency. None when everything
    fits the first round: then the budget bounds nothing.
    """
    rounds = (tally.requests - 1) // rate.calls
    if rounds < 1 or tally.elapsed <= 0.0:
        return None
    return rounds * (rate.seconds + rate.guard + tally.mean_latency) / tally.elapsed


FOLDER = "syncro-demo"
FILE = "leads.jsonl"
_DATABASE, _JOURNAL = "crm.db", "rows.journal"
# Written first: a folder with this file is one that a demo created.
_MARK = ".syncro-demo"
_CALLS = 60
_PAGE = 200


@dataclass(slots=True)
class Result:
    """What a demo run brought, seen from both sides."""

    leads: int
    rate: RateLimit
    tally: DemoStats = field(default_factory=DemoStats)
    ids: set[int] = field(default_factory=set)
    refused_by_sandbox: int = 0
    complete: bool = True

    def count(self, file: Path) -> None:
        """Look up in the file which leads came."""
        with file.open(encoding="utf-8") as lines:
            self.ids.update(json.loads(line)["id"] for line in lines)

    @property
    def spotless(self) -> bool:
        """Every lead came, and no request was refused."""
        refused = self.tally.refused or self.refused_by_sandbox
        return self.complete and len(self.ids) == self.leads and not refused

    def lines(self) -> Sequence[str]:
        """The report, for people."""
        share = share_of_bound(self.tally, self.rate)
        theirs = self.refused_by_sandbox
        bound = "not bounded: everything fits the first minute" if share is None else f"{share:.1%}"
        return (
            f"leads           {len(self.ids)} distinct of {self.leads}",
            f"requests        {self.tally.requests} for {-(-self.leads // _PAGE)} pages",
            f"429s            {self.tally.refused} (client), {theirs} (sandbox)",
            f"share of bound  {bound}",
            f"seconds         {self.tally.elapsed:.2f}, with a minute of {self.rate.seconds:g} s",
            f"file            {Path(FOLDER, FILE)}",
        )


def demo(leads: int, minute: float) -> int:
    """Export `leads` sample leads; then import and sync a few others.

    The files are in the folder `syncro-demo`, which is kept. `minute` is the length of the
    sandbox's minute (s). Raises `CommandFailedError` when a lead or row was lost or a 429 drawn,
    and `WrongUsageError` when the folder holds files that no demo wrote.
    """
    rate = RateLimit(_CALLS, minute)
    exported = _sandbox(leads, rate)
    folder = make_folder(Path(FOLDER))
    return _print_folder(
        folder, _show_export(exported, folder, leads, rate) or _show_jobs(folder, rate)
    )


def _print_folder(folder: Path, code: int) -> int:
    sys.stdout.write(f"folder          {folder.resolve()}\n")
    return code


def make_folder(folder: Path) -> Path:
    """Create the folder, or remove the files of an earlier demo from it.

    Raises `WrongUsageError` when it exists and no demo created it.
    """
    mark = folder / _MARK
    if folder.exists() and not mark.is_file():
        raise WrongUsageError(f"{folder} exists and is not of a demo: rename it, or work elsewhere")
    folder.mkdir(exist_ok=True)
    mark.touch()
    for name in (FILE, _DATABASE, _JOURNAL):
        (folder / name).unlink(missing_ok=True)
    return folder


_Sandbox = tuple[str, AbstractContextManager[Any]]


def _show_export(sandbox: _Sandbox, folder: Path, leads: int, rate: RateLimit) -> int:
    key, serving = sandbox
    with serving as running:
        work = _export(running.url, key, folder / FILE, Result(leads, rate))
        return report(asyncio.run(work), running.refused)


def _show_jobs(folder: Path, rate: RateLimit) -> int:
    key, serving = _sandbox(BOOK, rate)
    with serving as sandbox:
        work = _work(sandbox.url, key, rate, folder)
        return report_jobs(asyncio.run(work), sandbox.refused)


def _sandbox(leads: int, rate: RateLimit) -> _Sandbox:
    """A key, and the block in which its sandbox is there."""
    with extra("sandbox"):
        from syncro_async.sandbox import (  # noqa: PLC0415  # comes with an extra
            FULL_KEY,
            serving_in_process,
        )
    return FULL_KEY, serving_in_process(leads=leads, minute=rate.seconds)


def report(result: Result, refused: Callable[[], int]) -> int:
    """Print the report; `refused` tells how many 429s the sandbox answered.

    Raises `CommandFailedError` when a lead was lost or a 429 drawn.
    """
    result.refused_by_sandbox = refused()
    sys.stdout.write("\n".join(result.lines()) + "\n")
    if not result.spotless:
        raise CommandFailedError("leads were lost or requests refused, which must never happen")
    return DONE


async def _export(url: str, key: str, file: Path, result: Result) -> Result:
    with show_progress() as tell:
        async with _client(url, key, result.rate, result.tally) as client:
            receipt = await client.bulk.export_leads(file, on_progress=tell)
    result.complete = receipt.complete
    result.count(file)
    return result


async def _work(url: str, key: str, rate: RateLimit, folder: Path) -> JobsDone:
    async with _client(url, key, rate) as client:
        return await import_and_sync(client, folder)


def _client(url: str, key: str, rate: RateLimit, *observers: Observer) -> AsyncClient:
    # Nothing of the caller's settings may leak in: key, address and budget are the sandbox's.
    return AsyncClient(key, base_url=url, rate_limit=rate, limiter="memory://", observers=observers)


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
        sent = f"{counted(done.requests, 'request')} in {done.seconds:.2f} s"
        again = f"{second.inserted} new, {second.updated} changed"
        leads = counted(first.inserted, "lead")
        return (
            f"import          {ROWS} rows: {done.created} created, {done.failed} failed, {sent}",
            f"sync            {leads} to a new SQLite table; at once again: {again}",
            f"429s of both    {refused}",
        )


async def import_and_sync(client: AsyncClient, folder: Path) -> JobsDone:
    """Import some rows, then bring a database up to date twice; all files are in `folder`."""
    rows = [{"name": f"Row {n}", "email": f"row-{n}@example.com"} for n in range(ROWS)]
    with show_progress() as tell:
        summary = await client.bulk.upsert_leads(
            rows,
            defaults={"pipeline_id": 1, "stage_id": 4},
            journal=folder / _JOURNAL,
            on_progress=tell,
        )
    database = folder / _DATABASE
    first = await client.bulk.sync_leads(database)
    return JobsDone(summary, first, await client.bulk.sync_leads(database))


def report_jobs(done: JobsDone, refused: Callable[[], int]) -> int:
    """Print the report. Raises `CommandFailedError` when a row was lost or a 429 drawn."""
    number = refused()
    sys.stdout.write("\n".join(done.lines(number)) + "\n")
    if number or not done.spotless:
        raise CommandFailedError("rows were lost or requests refused, which must never happen")
    return DONE
