"""`syncro demo`: a whole account exported from a sandbox, and how near the bound that came."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from syncro_async import AsyncClient, Lead, RateLimit
from syncro_async.cli.bound import Tally, share_of_bound
from syncro_async.cli.endings import DONE, CommandFailedError
from syncro_async.cli.exporting import destination, drain, opened
from syncro_async.cli.extras import extra
from syncro_async.cli.progress import bar

FILE = "leads.jsonl"
_CALLS = 60
_PAGE_SIZE = 200
_AHEAD = 20  # as many as the client has connections


@dataclass(slots=True)
class Result:
    """What a demo run brought, seen from both sides."""

    leads: int
    rate: RateLimit
    tally: Tally = field(default_factory=Tally)
    ids: set[int] = field(default_factory=set)
    refused_by_sandbox: int = 0

    def count(self, leads: Sequence[Lead]) -> None:
        """Remember which leads came."""
        self.ids.update(lead.id for lead in leads)

    @property
    def spotless(self) -> bool:
        """Every lead came, and no request was refused."""
        return (
            len(self.ids) == self.leads and not self.tally.refused and not self.refused_by_sandbox
        )

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
    """Serve `leads` sample leads, export them all into the current folder, print the report.

    `minute` is the length of the sandbox's minute (s). Raises `CommandFailedError` when a lead
    was lost or a 429 drawn.
    """
    with extra("sandbox"):
        from syncro_async.sandbox import (  # noqa: PLC0415  # comes with an extra
            FULL_KEY,
            serving_elsewhere,
        )
    result = Result(leads, RateLimit(_CALLS, minute))
    with serving_elsewhere(leads=leads, minute=minute) as sandbox:
        return report(asyncio.run(_export(sandbox.url, FULL_KEY, result)), sandbox.refused)


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
    # Nothing of the caller's settings may leak in: key, address and budget are the sandbox's.
    async with AsyncClient(
        key,
        base_url=url,
        rate_limit=result.rate,
        limiter="memory://",
        observers=(result.tally,),
    ) as client:
        to = destination(str(Path.cwd() / FILE), None)
        with (
            opened(to, result.count) as export,
            bar("leads", shown=sys.stderr.isatty()) as shown,
        ):
            leads = client.leads.list(page_size=_PAGE_SIZE)
            await drain(leads, export, shown, client.budget, ahead=_AHEAD)
    return result
