"""The example service as its docstring runs it: four workers of uvicorn, one key, one budget."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from syncro_async.sandbox import FULL_KEY, serving_in_process
from tests.integrations.fast_service import LIMIT, WINDOW

ROOT = Path(__file__).parents[2]
WORKERS = 4
CALLERS = 200
# How long the workers may take to end, each asked in order (s).
PATIENCE = 30


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def workers(api: str, folder: Path) -> Iterator[str]:
    """The service's address, once all of its workers answer."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SYNCRO_")},
        "SYNCRO_API_KEY": FULL_KEY,
        "SYNCRO_BASE_URL": api,
        "SYNCRO_LIMITER": f"sqlite://{folder}/budget.db",
        "LEADS_MAX_WAIT": "100",
    }
    words = ["tests.integrations.fast_service:app", "--workers", str(WORKERS), "--port", str(port)]
    with subprocess.Popen(
        # A worker must not close an idle connection in the moment in which a call is sent on it.
        [sys.executable, "-m", "uvicorn", *words, "--no-access-log", "--timeout-keep-alive=150"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            wait_until_started(process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # a session of its own: only its workers
                raise


def wait_until_started(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        if sum("Application startup complete" in each for each in said) == WORKERS:
            return
    raise AssertionError(f"the service ended by itself:\n{''.join(said)}")


@pytest.mark.timeout(150)  # four workers begin at once, on a machine that may be busy
async def test_two_hundred_callers_of_four_workers_draw_no_429_and_lose_nothing(
    tmp_path: Path,
) -> None:
    with (
        serving_in_process(leads=10, minute=WINDOW, window="sliding") as sandbox,
        workers(sandbox.url, tmp_path) as service,
    ):
        everywhere = httpx.Limits(max_connections=CALLERS)
        async with httpx.AsyncClient(base_url=service, timeout=110, limits=everywhere) as web:
            statuses: list[int] = []
            first_minute_spent = asyncio.Event()

            async def call(number: int) -> None:
                new = {"name": f"Caller {number}", "email": f"caller{number}@example.com"}
                statuses.append((await web.post("/leads", json=new)).status_code)
                if len(statuses) == LIMIT:
                    first_minute_spent.set()

            calls = asyncio.gather(*(call(number) for number in range(CALLERS)))
            await first_minute_spent.wait()
            during = (await web.get("/health")).json()
            await calls
            after = (await web.get("/health")).json()
        assert Counter(statuses) == {201: CALLERS}
        assert sandbox.refused() == 0
        created = [email for email in sandbox.emails() if email and email.startswith("caller")]
        assert sorted(created) == sorted(f"caller{number}@example.com" for number in range(CALLERS))
    # How much of it is left at a moment says as much about the machine as about the budget.
    for health in (during, after):
        budget = health["budget"]
        assert (health["status"], budget["limit"], budget["window"]) == ("ok", LIMIT, WINDOW)
        assert 0 <= budget["available"] <= LIMIT
    assert after["budget"]["waiting"] == 0
