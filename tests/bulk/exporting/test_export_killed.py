from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

import syncro_async
from syncro_async.sandbox import FULL_KEY, serving
from tests.bulk.exporting.changing_list import ChangingSandbox

EXPORT = """
import asyncio, sys
from syncro_async import AsyncClient, RateLimit

async def main():
    async with AsyncClient(rate_limit=RateLimit(1000, 60.0)) as syncro:
        receipt = await syncro.bulk.export_leads(sys.argv[1], page_size=10, verify=sys.argv[2])
    print(receipt.written, receipt.complete)

asyncio.run(main())
"""


def start(file: Path, url: str, verify: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(syncro_async.__file__).parents[1]),
        "SYNCRO_API_KEY": FULL_KEY,
        "SYNCRO_BASE_URL": url,
    }
    command = [sys.executable, "-c", EXPORT, str(file), verify]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("form", "verify"), [("jsonl", "once"), ("csv", "twice")])
def test_kill_9_again_and_again_costs_no_more_than_the_pages_under_way(
    tmp_path: Path, form: str, verify: str
) -> None:
    """Killed after 3, 8, 11 … answers, it still ends with every lead written once."""
    file = tmp_path / f"leads.{form}"
    killed_after = (3, 8, 4, 11, 6) if verify == "twice" else (1, 3, 8, 4, 2)
    sandbox = ChangingSandbox(240, per_minute=1000)
    running: list[subprocess.Popen[Any]] = []
    due = 0

    def change(number: int) -> None:
        nonlocal due
        due -= 1
        if due == 0:
            os.kill(running[-1].pid, signal.SIGKILL)

    with serving(sandbox) as url:
        sandbox.change = change
        for answers in killed_after:
            due = answers
            running.append(start(file, url, verify))
            running[-1].communicate(timeout=30)
            assert running[-1].returncode == -signal.SIGKILL
            assert not file.exists()
        out, _ = start(file, url, verify).communicate(timeout=30)
    assert out == "240 True\n"
    assert len(file.read_text(encoding="utf-8").splitlines()) == 240 + (form == "csv")
    if form == "jsonl":
        ids = [json.loads(line)["id"] for line in file.read_text(encoding="utf-8").splitlines()]
        assert sorted(ids) == sorted(sandbox.leads)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    # All 24 pages twice, or once and three, and of each kill at most one group of eight pages anew.
    pages = 48 if verify == "twice" else 27
    assert len(sandbox.arrivals) <= pages + 8 * len(killed_after)
    firsts = [parse_qs(arrival.query)["page"] == ["1"] for arrival in sandbox.arrivals]
    assert firsts.count(True) <= (2 if verify == "twice" else 4) + 1
