"""Fifty threads with an event loop each, a thousand calls, one client and one budget."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

import pytest

from syncro_async import AsyncClient, RateLimit
from syncro_async.clock import SystemClock
from syncro_async.events import Event
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Budget, Lane, Slot, SlotOutcome
from tests.transport.scripted_app import KEY
from tests.transport.scripted_server import Connection, ScriptedServer, http

LEAD = http(b'{"success": true, "lead": {"id": 7}}')
LOOPS, CALLS = 50, 1000
LIMIT, WINDOW, GUARD = 60, 0.1, 0.02


@contextmanager
def loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs until the block ends."""
    ready: Future[asyncio.AbstractEventLoop] = Future()
    over = asyncio.Event()

    async def run() -> None:
        ready.set_result(asyncio.get_running_loop())
        await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    loop = ready.result()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


class Noting:
    """The limiter of a process; it notes when it gave each call its slot."""

    def __init__(self) -> None:
        self._inner = InProcessLimiter([RateLimit(LIMIT, WINDOW, guard=GUARD)], SystemClock())
        self.given: dict[int, float] = {}

    @property
    def rates(self) -> tuple[RateLimit, ...]:
        return self._inner.rates

    async def acquire(
        self, lane: Lane, *, max_wait: float | None = None, requeued: bool = False
    ) -> Slot:
        slot = await self._inner.acquire(lane, max_wait=max_wait, requeued=requeued)
        self.given[number_of_the_call.get()] = slot.taken_at
        return slot

    def is_valid(self, slot: Slot) -> bool:
        return self._inner.is_valid(slot)

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        await self._inner.release(slot, outcome)

    def budget(self) -> Budget:
        return self._inner.budget()

    async def refresh(self) -> None:
        await self._inner.refresh()


number_of_the_call: ContextVar[int] = ContextVar("number_of_the_call")


def test_a_thousand_calls_of_fifty_loops_keep_the_limit_and_their_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    arrivals: list[float] = []
    told: list[Event] = []

    async def answers(connection: Connection) -> None:
        while True:
            await connection.request()
            arrivals.append(time.monotonic())
            await connection.send(LEAD)

    def complain(event: Event) -> None:
        told.append(event)
        raise RuntimeError("an observer that fails, every time")

    async def call(number: int) -> int:
        number_of_the_call.set(number)
        return (await client.leads.get(number)).id

    async def begin(number: int) -> asyncio.Task[int]:
        task = asyncio.create_task(call(number))
        await asyncio.sleep(0)  # now it stands in the queue
        return task

    async def end(tasks: list[asyncio.Task[int]]) -> list[int]:
        return await asyncio.gather(*tasks)

    caplog.set_level(logging.CRITICAL, "syncro_async")
    limiter = Noting()
    server = ScriptedServer(answers)
    with ExitStack() as stack:
        own = stack.enter_context(loop_in_a_thread())
        asyncio.run_coroutine_threadsafe(server.__aenter__(), own).result()
        client = AsyncClient(
            KEY, base_url=server.url, limiter=limiter, max_connections=4, observers=[complain]
        )
        loops = [stack.enter_context(loop_in_a_thread()) for _ in range(LOOPS)]
        tasks: list[list[asyncio.Task[int]]] = [[] for _ in loops]
        for number in range(CALLS):
            place = number * 7 % LOOPS
            begun = asyncio.run_coroutine_threadsafe(begin(number), loops[place])
            tasks[place].append(begun.result())
        ends = [
            asyncio.run_coroutine_threadsafe(end(mine), loop)
            for mine, loop in zip(tasks, loops, strict=True)
        ]
        assert [each.result() for each in ends] == [[7] * (CALLS // LOOPS)] * LOOPS
        budget = client.budget()
        asyncio.run(client.aclose())
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), own).result()
    assert (budget.in_flight, budget.waiting) == (0, 0)
    assert len(arrivals) == CALLS
    spans = [later - first for first, later in zip(arrivals, arrivals[LIMIT:], strict=False)]
    assert min(spans) >= WINDOW
    moments = [limiter.given[number] for number in range(CALLS)]
    assert moments == sorted(moments)
    assert len(told) >= 2 * CALLS
