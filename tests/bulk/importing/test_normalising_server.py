"""Imports that are killed while answers get lost, at a server that changes what it stores."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from syncro_async import AsyncClient, ImportSummary, RateLimit
from syncro_async.testing import FakeClock
from tests.bulk.importing.raw_server import RawServer, some_fates

HOME = {"pipeline_id": 1, "stage_id": 4}
SEED = 20260630


def row(number: int) -> dict[str, Any]:
    return {
        "name": f" Lead  {number}",
        "email": f"L{number}+import@Example.com" if number % 3 else None,
        "phone": f"(11) 9{number:04}-0001" if number % 2 else None,
        "value": number,
        **HOME,
    }


def files_of(journal: Path) -> list[Path]:
    return [path for path in journal.parent.iterdir() if path.name.startswith(journal.name)]


class Killed:
    """Runs of one import, each of which is ended as a killed process ends: its journal stays as it
    was at that moment, whatever the run writes while it is ended."""

    def __init__(self, server: RawServer, journal: Path, kind: str) -> None:
        self.server, self.journal, self.kind = server, journal, kind

    def _client(self) -> AsyncClient:
        return self.server.client(rate_limit=RateLimit(600, 60.0))

    async def run(self, rows: list[dict[str, Any]]) -> ImportSummary:
        async with self._client() as syncro:
            return await self._import(syncro, rows)

    async def _import(self, syncro: AsyncClient, rows: list[dict[str, Any]]) -> ImportSummary:
        work = syncro.bulk.create_leads if self.kind == "create" else syncro.bulk.upsert_leads
        return await work(
            rows, journal=self.journal, max_failures=0, server_time_limit=25, locale="pt-BR"
        )

    async def kill(self, rows: list[dict[str, Any]], after: int) -> None:
        """Start a run, and end it after the server has received so many more requests."""
        kept = self.journal.parent / "kept"
        async with self._client() as syncro:
            job = asyncio.create_task(self._import(syncro, rows))
            self.server.stop_at = len(self.server.requests) + after
            self.server.stopped.clear()
            stopped = asyncio.create_task(self.server.stopped.wait())
            await asyncio.wait({job, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            kept.mkdir()
            for path in files_of(self.journal):
                shutil.copy(path, kept)
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)
        for path in files_of(self.journal):
            path.unlink()
        for path in kept.iterdir():
            shutil.move(path, self.journal.parent)
        kept.rmdir()


@pytest.mark.parametrize("kind", ["create", "upsert"])
async def test_each_row_is_there_once_however_often_the_import_is_killed(
    tmp_path: Path, kind: str
) -> None:
    await check(tmp_path, kind, count=60, kills=8, seed=SEED)


async def check(folder: Path, kind: str, *, count: int, kills: int, seed: int) -> None:
    """Kill an import so often, while another writer adds leads of its own, and compare."""
    clock = FakeClock()
    server = RawServer(clock, page_size=50)
    rows = [row(number) for number in range(count)]
    rows = [{name: value for name, value in each.items() if value is not None} for each in rows]
    if kind == "upsert":  # a row without email and phone has nothing to be found by
        rows = [each for each in rows if "email" in each or "phone" in each]
    strangers = [server.add(name=f"Stranger {n}", email=f"s{n}@example.com") for n in range(5)]
    before = [dict(lead) for lead in strangers]
    server.fates.extend(some_fates(count * 4, seed))
    dice = random.Random(seed)  # noqa: S311  # to be the same every time
    runs = Killed(server, folder / "rows.journal", kind)
    for number in range(kills):
        await runs.kill(rows, dice.randrange(1, 40))
        server.add(name=f"Visitor {number}", email=f"v{number}@example.com")
    summary = await runs.run(rows)
    held = Counter(" ".join(lead["name"].split()) for lead in server.leads.values())
    names = [" ".join(each["name"].upper().split()) for each in rows]
    assert [name for name in names if held[name] != 1] == []
    assert (summary.created + summary.updated, summary.failed) == (len(rows), 0)
    assert (summary.in_doubt, summary.unsent) == (0, 0)
    assert [dict(lead) for lead in strangers] == before
    assert len(server.leads) == len(rows) + 5 + kills
