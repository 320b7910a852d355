"""`syncro demo`: an export, an import and a sync against sandboxes, and how they went."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from syncro_async import AsyncClient, RateLimit
from syncro_async.cli.bound import Tally, share_of_bound
from syncro_async.cli.demo_jobs import BOOK, JobsDone, import_and_sync, report_jobs
from syncro_async.cli.endings import DONE, CommandFailedError
from syncro_async.cli.extras import extra
from syncro_async.cli.watching import watching
from syncro_async.events import Observer

FILE = "leads.jsonl"
_CALLS = 60
_folder = partial(TemporaryDirectory, prefix="syncro-")


@dataclass(slots=True)
class Result:
    """What a demo run brought, seen from both sides."""

    leads: int
    rate: RateLimit
    tally: Tally = field(default_factory=Tally)
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
            f"requests        {self.tally.requests}",
            f"429s            {self.tally.refused} (client), {theirs} (sandbox)",
            f"share of bound  {bound}",
            f"seconds         {self.tally.elapsed:.2f}, with a minute of {self.rate.seconds:g} s",
            f"file            {FILE}",
        )


def demo(leads: int, minute: float) -> int:
    """Export `leads` sample leads into the current folder; then import and sync a few others.

    What the last two need is gone afterwards. `minute` is the length of the sandbox's minute (s).
    Raises `CommandFailedError` when a lead or row was lost or a 429 drawn.
    """
    rate = RateLimit(_CALLS, minute)
    return _show_export(leads, rate) or _show_jobs(rate)


def _show_export(leads: int, rate: RateLimit) -> int:
    key, serving = _sandbox(leads, rate)
    with serving as sandbox:
        result = Result(leads, rate)
        return report(asyncio.run(_export(sandbox.url, key, result)), sandbox.refused)


def _show_jobs(rate: RateLimit) -> int:
    key, serving = _sandbox(BOOK, rate)
    with serving as sandbox, _folder() as folder:
        work = _work(sandbox.url, key, rate, Path(folder))
        return report_jobs(asyncio.run(work), sandbox.refused)


def _sandbox(leads: int, rate: RateLimit) -> tuple[str, AbstractContextManager[Any]]:
    """A key, and the block in which its sandbox is there."""
    with extra("sandbox"):
        from syncro_async.sandbox import (  # noqa: PLC0415  # comes with an extra
            FULL_KEY,
            serving_elsewhere,
        )
    return FULL_KEY, serving_elsewhere(leads=leads, minute=rate.seconds)


def report(result: Result, refused: Callable[[], int]) -> int:
    """Print the report; `refused` tells how many 429s the sandbox answered.

    Raises `CommandFailedError` when a lead was lost or a 429 drawn.
    """
    result.refused_by_sandbox = refused()
    sys.stdout.write("\n".join(result.lines()) + "\n")
    if not result.spotless:
        raise CommandFailedError("leads were lost or requests refused, which must never happen")
    return DONE


async def _export(url: str, key: str, result: Result) -> Result:
    async with _client(url, key, result.rate, result.tally) as client:
        with watching() as tell:
            receipt = await client.bulk.export_leads(FILE, on_progress=tell)
    result.complete = receipt.complete
    result.count(Path(FILE))
    return result


async def _work(url: str, key: str, rate: RateLimit, folder: Path) -> JobsDone:
    async with _client(url, key, rate) as client:
        return await import_and_sync(client, folder)


def _client(url: str, key: str, rate: RateLimit, *observers: Observer) -> AsyncClient:
    # Nothing of the caller's settings may leak in: key, address and budget are the sandbox's.
    return AsyncClient(key, base_url=url, rate_limit=rate, limiter="memory://", observers=observers)
