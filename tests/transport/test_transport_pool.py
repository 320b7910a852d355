"""Each connection has a transport of its own: which is taken, which is closed, and when."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest

from syncro_async import AsyncClient
from syncro_async.errors import NotFoundError
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.connections import KEEP_ALIVE, OpenSockets, TransportPool
from tests.transport.programs import LEAD, answers_everything
from tests.transport.scripted_app import KEY, at_once
from tests.transport.scripted_server import ScriptedServer, answers, http

# Over httpx and over httpx2.
pytestmark = pytest.mark.usefixtures("engine")


class Line:
    """A transport that only knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_the_one_used_last_is_taken_first() -> None:
    row = TransportPool(Line, FakeClock())
    first, second = row.acquire(), row.acquire()
    assert first is not second
    await row.release(second)
    await row.release(first)
    assert (row.acquire(), row.acquire()) == (first, second)


async def test_one_that_was_idle_for_too_long_is_closed_when_another_comes_back() -> None:
    clock = FakeClock()
    row = TransportPool(Line, clock)
    idle, used = row.acquire(), row.acquire()
    await row.release(idle)
    await clock.sleep(KEEP_ALIVE)
    await row.release(used)
    assert not idle.closed  # to the last moment
    used = row.acquire()
    await clock.sleep(0.1)
    await row.release(used)
    assert (idle.closed, used.closed) == (True, False)


async def test_one_that_is_thrown_away_is_closed_and_never_taken_again() -> None:
    row = TransportPool(Line, FakeClock())
    spoilt = row.acquire()
    await row.discard(spoilt)
    assert spoilt.closed
    assert row.acquire() is not spoilt


async def test_closing_the_row_closes_those_in_use_as_well() -> None:
    row = TransportPool(Line, FakeClock())
    idle, used = row.acquire(), row.acquire()
    await row.release(idle)
    await row.aclose()
    assert (idle.closed, used.closed) == (True, True)


async def test_calls_at_once_have_connections_of_their_own_and_later_ones_use_them_again() -> None:
    async with (
        ScriptedServer(answers_everything) as server,
        AsyncClient(KEY, base_url=server.url, max_connections=5) as client,
    ):
        await asyncio.gather(*(client.leads.get(7) for _ in range(20)))
        assert server.connections == 5
        await client.leads.get(7)
        assert (server.connections, len(server.requests)) == (5, 21)


async def test_a_caller_s_own_transport_is_closed_with_the_client_and_not_before() -> None:
    class Noticing(httpx.AsyncHTTPTransport):
        closed = 0

        async def aclose(self) -> None:
            self.closed += 1
            await super().aclose()

    transport = Noticing()
    async with (
        ScriptedServer(answers_everything) as server,
        AsyncClient(KEY, base_url=server.url, transport=transport) as client,
    ):
        await client.leads.get(7)
        await client.leads.get(7)
        assert (server.connections, transport.closed) == (1, 0)
        await client.aclose()
        assert transport.closed == 1


class Slow(Line):
    """A line whose end takes a turn of the event loop, as that of a socket does."""

    async def aclose(self) -> None:
        await super().aclose()
        await asyncio.sleep(0)


async def test_while_a_long_idle_one_is_closed_another_call_may_take_the_rest() -> None:
    clock = FakeClock()
    row = TransportPool(Slow, clock)
    idle, used = row.acquire(), row.acquire()
    await row.release(idle)
    await clock.sleep(KEEP_ALIVE + 0.1)
    giving_back = asyncio.ensure_future(row.release(used))
    await asyncio.sleep(0)
    assert row.acquire() is used
    await giving_back
    assert (idle.closed, used.closed) == (True, False)


async def test_one_that_comes_back_after_the_end_is_closed() -> None:
    row = TransportPool(Slow, FakeClock())
    await row.aclose()
    late = row.acquire()
    await row.release(late)
    assert late.closed
    await row.aclose()


class Striking(logging.Handler):
    """Ends an attempt's time in the moment httpcore writes something into its log."""

    def __init__(self, clock: FakeClock, words: str) -> None:
        super().__init__()
        self.clock, self.words = clock, words

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage():
            self.words = "said once"
            self.clock._fire_next()


# Over httpx2 nothing is waited for at that point, so no time can be over there.
@pytest.mark.parametrize("engine", ["httpx"], indirect=True)
async def test_one_whose_time_was_over_before_its_request_had_ended_is_not_taken_again() -> None:
    clock = FakeClock(autojump=False)
    gone = http(b'{"message": "No lead"}', "404 Not Found")
    log = logging.getLogger("httpcore.http11")
    striking = Striking(clock, "response_closed.started")
    async with (
        ScriptedServer(answers(gone, LEAD), answers_everything) as server,
        AsyncClient(KEY, base_url=server.url, clock=clock, retry=at_once(1)) as client,
    ):
        log.addHandler(striking)
        try:
            log.setLevel(logging.DEBUG)
            with pytest.raises(NotFoundError):
                await client.leads.get(7)
        finally:
            log.setLevel(logging.NOTSET)
            log.removeHandler(striking)
        assert striking.words == "said once"
        async with asyncio.timeout(5.0):
            await client.leads.get(7)
        assert server.connections == 2


def test_where_no_connection_was_opened_nothing_has_to_be_dropped() -> None:
    OpenSockets().drop_unsent(Line())
