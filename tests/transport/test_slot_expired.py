"""A slot that expires between its grant and the first byte of its request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import pytest

from syncro_async import AsyncClient, RateLimit
from syncro_async.clock import SystemClock
from syncro_async.events import CallAbandoned, Event, RequestSent
from syncro_async.limiting.context import TooLateError, sent_until
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import NotCounted, Slot, SlotOutcome
from syncro_async.testing import FakeClock

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class StoppedOnce(InProcessLimiter):
    """A limiter of a process that is stopped once, while its request waits for a connection."""

    def __init__(self) -> None:
        super().__init__((RateLimit(60, 60.0),), SystemClock())
        self.asked = 0
        self.outcomes: list[SlotOutcome] = []

    def is_valid(self, slot: Slot) -> bool:
        self.asked += 1
        return self.asked != 2

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        self.outcomes.append(outcome)
        await super().release(slot, outcome)


@pytest.fixture
async def server() -> AsyncIterator[tuple[str, list[bytes]]]:
    received: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            received.append(line)
            if line == b"\r\n":
                writer.write(ANSWER)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", received


@pytest.mark.parametrize("kept", [False, True])
async def test_nothing_is_sent_with_it_and_the_call_queues_again(
    server: tuple[str, list[bytes]], *, kept: bool
) -> None:
    url, received = server
    limiter = StoppedOnce()
    limiter.asked = -2 if kept else 0
    async with AsyncClient("key", base_url=url, limiter=limiter) as syncro:
        if kept:
            await syncro.request("GET", "/first")
        assert await syncro.request("POST", "/second", json={}) == {}
    assert [line for line in received if b"/second" in line] == [b"POST /second HTTP/1.1\r\n"]
    assert [type(outcome) for outcome in limiter.outcomes].count(NotCounted) == 1


async def test_the_event_of_a_cancelled_call_says_that_nothing_was_sent(
    server: tuple[str, list[bytes]],
) -> None:
    url, received = server
    said: list[str] = []

    def observe(event: Event) -> None:
        if isinstance(event, RequestSent):
            call.cancel()  # while the connection is made
        elif isinstance(event, CallAbandoned):
            said.append(event.outcome)

    limiter = StoppedOnce()
    async with AsyncClient("key", base_url=url, limiter=limiter, observers=(observe,)) as syncro:
        call = asyncio.create_task(syncro.request("POST", "/second", json={}))
        await asyncio.wait({call})
        assert call.cancelled()
    assert said == ["nothing was sent, because its slot had expired"]
    assert received == []
    assert [type(outcome) for outcome in limiter.outcomes] == [NotCounted]


@pytest.mark.parametrize("engine", ["httpx", "httpx2"])
async def test_nothing_is_sent_after_the_moment_that_passes_while_it_connects(
    server: tuple[str, list[bytes]], engine: Literal["httpx", "httpx2"]
) -> None:
    url, received = server
    clock = FakeClock(autojump=False)

    def observe(event: Event) -> None:
        if isinstance(event, RequestSent):
            clock._now += 5.0  # while the connection is made

    async with AsyncClient("key", base_url=url, engine=engine, observers=(observe,)) as syncro:
        with sent_until(clock.monotonic() + 3.0, clock), pytest.raises(TooLateError):
            await syncro.request("POST", "/second", json={})
        assert received == []
        assert await syncro.request("POST", "/third", json={}) == {}
        assert syncro.budget().used == 1
