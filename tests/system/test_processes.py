"""One key, several real processes: nothing is refused, nothing lost, and the lanes hold."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from syncro_async.sandbox import Sandbox, serving, serving_in_process
from tests.redis_server import running
from tests.system.caller_process import CallerProcess

logger = logging.getLogger(__name__)

# The service's minute, shortened.
WINDOW = 1.0
CALLS = 75
PROCESSES = 4


@pytest.fixture(params=["sqlite", "redis"])
def limiter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite://{tmp_path}/budget.db"
    else:
        with running("redis-server") as server:
            yield server.url


@pytest.fixture
def call(limiter: str) -> Iterator[Callable[..., CallerProcess]]:
    """Starts a process that calls; the test's end ends them all."""
    with ExitStack() as processes:

        def start(base_url: str, **settings: Any) -> CallerProcess:
            usual = {"lane": "interactive", "rate": (60, WINDOW), "calls": CALLS, "first": 1}
            settings = {**usual, **settings, "base_url": base_url, "limiter": limiter}
            return processes.enter_context(CallerProcess(**settings))

        yield start


def test_four_processes_spend_one_budget(call: Callable[..., CallerProcess]) -> None:
    with serving_in_process(leads=CALLS, minute=WINDOW, window="sliding") as sandbox:
        processes = [call(sandbox.url) for _ in range(PROCESSES)]
        for process in processes:
            process.wait_until_ready()
        began = time.monotonic()
        for process in processes:
            process.start()
        ends = [process.to_the_end() for process in processes]
        logger.info("%d calls took %.2f s", PROCESSES * CALLS, time.monotonic() - began)
        assert ends == [(CALLS, 0)] * PROCESSES
        assert sandbox.refused() == 0


def test_one_that_is_killed_costs_the_others_nothing_but_time(
    call: Callable[..., CallerProcess],
) -> None:
    with serving_in_process(leads=CALLS, minute=WINDOW, window="sliding") as sandbox:
        first, *others = processes = [call(sandbox.url) for _ in range(PROCESSES)]
        for process in processes:
            process.wait_until_ready()
        for process in processes:
            process.start()
        for _ in range(CALLS // 3):
            assert first.hear().isdecimal()
        first.kill()
        assert [process.to_the_end() for process in others] == [(CALLS, 0)] * (PROCESSES - 1)
        assert sandbox.refused() == 0


@pytest.mark.parametrize("limiter", ["sqlite"], indirect=True)
def test_an_interactive_call_overtakes_the_bulk_queue_of_another_process(
    call: Callable[..., CallerProcess],
) -> None:
    many, rate = 60, (6, 0.25)
    sandbox = Sandbox(many, per_minute=rate[0], minute=rate[1], window="sliding")
    with serving(sandbox) as url:
        bulk = call(url, lane="bulk", rate=rate, calls=many - 1)
        hurried = call(url, rate=rate, calls=1, first=many)
        bulk.wait_until_ready()
        hurried.wait_until_ready()
        bulk.start()
        assert bulk.hear().isdecimal()
        hurried.start()
        assert hurried.to_the_end() == (1, 0)
        assert bulk.to_the_end() == (many - 2, 0)
    paths = [arrival.path for arrival in sandbox.arrivals]
    assert (len(paths), sandbox.refused) == (many, 0)
    # First come, first served would have made it the last one.
    assert paths.index(f"/leads/{many}") < many * 3 // 4
