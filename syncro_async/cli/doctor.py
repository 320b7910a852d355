"""`syncro doctor`: is all well with the key, the account, the clock and the budget."""

from __future__ import annotations

import asyncio
import os
import sys

from syncro_async import AsyncClient, ConnectionFailedError, RetryPolicy, SystemClock
from syncro_async.cli.checkup import ClockReading, Finding, findings, probe
from syncro_async.cli.endings import DONE, FAILED, in_one_line

_OF_THE_PROCESS = "memory://"
_PATIENCE = 30.0
_TIMEOUT = 10.0
# Every read is sent once, and a 429 ends it: so many reads, so many requests, and no more.
_ONCE = RetryPolicy(attempts=1, max_elapsed=0.0)


def see_doctor(base_url: str | None, limiter: str | None) -> int:
    """Print a line for everything that was looked at; 1 when something has to be mended."""
    found = asyncio.run(_examine(base_url, limiter))
    for finding in found:
        sys.stdout.write(f"{line(finding)}\n")
    return FAILED if any(finding.state == "mend" for finding in found) else DONE


def line(finding: Finding) -> str:
    """The finding as it is printed, whatever the server wrote into it."""
    told = in_one_line(f"{finding.what} → {finding.advice}")
    return f"{finding.state:<5} {finding.subject:<8} {told}"


async def _examine(base_url: str | None, limiter: str | None) -> list[Finding]:
    reading = ClockReading(SystemClock())
    named = limiter or os.environ.get("SYNCRO_LIMITER") or _OF_THE_PROCESS
    shared = named != _OF_THE_PROCESS
    async with AsyncClient(
        base_url=base_url,
        limiter=limiter,
        max_wait=_PATIENCE,
        timeout=_TIMEOUT,
        retry=_ONCE,
        observers=(reading,),
    ) as client:
        try:
            await client.refresh_budget()
            outcomes = await probe(client)
            budget = await client.refresh_budget()
        except ConnectionFailedError as error:
            # Without the budget that other programs share, nothing is sent.
            return list(findings({}, None, error, shared=shared))
        return list(findings(outcomes, reading.ahead, budget, shared=shared))
