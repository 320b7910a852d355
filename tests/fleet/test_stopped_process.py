"""A process that is stopped for longer than its lease sends nothing after another run has begun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from syncro_async import RateLimit
from syncro_async.fleet import AccountJob, run_account_job
from syncro_async.sandbox import FULL_KEY, Sandbox, serving

ROOT = Path(__file__).parents[2]
RATE = RateLimit(10, 1.0)
# A page for each lead: more than a hundred requests, ten in a second.
SLOW = """
import asyncio, json, sys
from syncro_async import RateLimit
from syncro_async.fleet import AccountJob, run_account_job
url, folder, limiter, key = sys.argv[1:]
receipt = asyncio.run(run_account_job(
    AccountJob("acme", "sync", {"page_size": 1}), keys=lambda _: key, folder=folder,
    limiter=limiter, base_url=url, rate_limit=RateLimit(10, 1.0), lease_seconds=5.0,
))
print(json.dumps(receipt.to_message()))
"""


def sent_by_the_slow_one(sandbox: Sandbox) -> int:
    return sum("per_page=1&" in f"{each.query}&" for each in sandbox.arrivals)


@pytest.mark.timeout(120)
async def test_it_finds_its_lease_over(tmp_path: Path) -> None:
    sandbox = Sandbox(leads=60, per_minute=10_000)
    limiter = f"sqlite://{tmp_path}/budget.db"
    with serving(sandbox) as url:
        words = [url, str(tmp_path / "one"), limiter, FULL_KEY]
        with subprocess.Popen(  # noqa: ASYNC220  # it is not waited for
            [sys.executable, "-c", SLOW, *words],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as slow:
            while sent_by_the_slow_one(sandbox) < 5:
                assert slow.poll() is None, slow.communicate()
            slow.send_signal(signal.SIGSTOP)
            options: dict[str, Any] = {"limiter": limiter, "base_url": url, "rate_limit": RATE}
            # As on another machine: in another folder.
            options |= {"folder": tmp_path / "two", "keys": lambda _: FULL_KEY}
            outcomes: list[str] = []
            while not outcomes or outcomes[-1] == "running":
                outcomes.append((await run_account_job(AccountJob("acme"), **options)).outcome)
            assert (outcomes[0], outcomes[-1]) == ("running", "done")
            before = sent_by_the_slow_one(sandbox)
            slow.send_signal(signal.SIGCONT)
            written = json.loads(slow.communicate(timeout=60)[0])
    assert written["outcome"] == "later"
    assert written["reason"] == "the lease of this run is over, and another run may have begun"
    assert sent_by_the_slow_one(sandbox) == before
    assert not (tmp_path / "one" / "acme" / "leads.db").exists()
