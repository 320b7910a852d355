"""Clocks that jump, machines that sleep, servers that count late: no burst, no stall."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from syncro_async import AsyncClient, RetryPolicy
from syncro_async.errors import OutcomeUnknownError, RequestTimeoutError
from syncro_async.sandbox import FULL_KEY, Sandbox, Trouble
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.http_engine import in_process_transport
from tests.transport.scripted_app import BASE_URL, Answer, App, Asked, at_once, client_of

HOUR = 3600.0
WELL = Answer(body={"lead": {"id": 7}})
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Sleeping(FakeClock):
    """A clock of a machine that can sleep: on waking, every timer is late at once."""

    def sleep_through(self, seconds: float) -> None:
        self._now += seconds


def busiest_minute(sandbox: Sandbox) -> int:
    """The most arrivals in any 60 s."""
    times = [arrival.at for arrival in sandbox.arrivals]
    return max(sum(at <= other < at + 60.0 for other in times) for at in times)


async def arrivals_with(jumps: tuple[tuple[float, float], ...]) -> list[float]:
    """When 150 calls reach a server, while the calendar jumps at those moments by so much."""
    clock = FakeClock()
    sandbox = Sandbox(10, clock=clock, window="sliding")
    for at, by in jumps:
        clock.call_at(at, lambda by=by: clock.jump_wall(by))  # type: ignore[misc]
    async with sandbox_client(sandbox=sandbox, clock=clock) as client:
        await asyncio.gather(*(client.leads.get(7) for _ in range(150)))
    assert sandbox.refused == 0
    return [arrival.at for arrival in sandbox.arrivals]


@pytest.mark.parametrize("by", [HOUR, -HOUR])
async def test_a_calendar_that_jumps_changes_nothing_for_the_budget(by: float) -> None:
    jumps = ((0.1, by), (30.0, -2 * by), (60.2, by), (90.0, by))
    assert await arrivals_with(jumps) == await arrivals_with(())


@pytest.mark.parametrize("by", [HOUR, -HOUR])
async def test_nor_for_a_wait_that_was_begun_before(by: float) -> None:
    app = App(Answer(503, b"", (("retry-after", "40"),)), Answer(500), WELL)
    app.clock.call_at(10.0, lambda: app.clock.jump_wall(by))  # type: ignore[attr-defined]
    policy = RetryPolicy(base_delay=8.0, random=lambda: 0.5)
    async with client_of(app, retry=policy) as client:
        await client.leads.get(7)
    assert app.times == [0.0, 40.0, 48.0]


@pytest.mark.parametrize("off", [timedelta(minutes=10), timedelta(minutes=-10)])
@pytest.mark.parametrize("jump", [0.0, HOUR, -HOUR])
async def test_a_date_is_read_by_the_server_s_clock_whatever_ours_says(
    off: timedelta, jump: float
) -> None:
    async def dated(asked: Asked) -> Answer:
        now = datetime.fromtimestamp(asked.clock.wall(), UTC) + off
        clock.jump_wall(jump)
        headers = (
            ("date", format_datetime(now, usegmt=True)),
            ("retry-after", format_datetime(now + timedelta(seconds=20), usegmt=True)),
        )
        return Answer(429, b"", headers)

    clock = FakeClock()
    app = App(dated, WELL, clock=clock)
    async with client_of(app) as client:
        await client.leads.get(7)
    assert app.times == [0.0, 21.0]


class TestAMachineThatSleepsForAnHour:
    async def test_the_queue_goes_on_without_a_burst_or_a_stall(self) -> None:
        clock = Sleeping()
        sandbox = Sandbox(10, clock=clock, window="sliding")
        clock.call_at(10.0, lambda: clock.sleep_through(HOUR))
        async with sandbox_client(sandbox=sandbox, clock=clock) as client:
            leads = await asyncio.gather(*(client.leads.get(7) for _ in range(200)))
        assert [lead.id for lead in leads] == [7] * 200
        assert sandbox.refused == 0
        assert busiest_minute(sandbox) == 60
        # The first to wait go when it wakes, the last of all two windows later.
        times = [arrival.at for arrival in sandbox.arrivals]
        woken = 10.0 + HOUR
        assert times[60] == woken
        assert times[-1] == woken + 2 * 60.25

    async def test_what_was_on_the_wire_ends_as_if_its_time_were_over(self) -> None:
        clock = Sleeping()
        sandbox = Sandbox(10, clock=clock)
        sandbox.script(Trouble(delay=40.0, times=2))
        async with sandbox_client(sandbox=sandbox, clock=clock) as client:
            clock.call_at(10.0, lambda: clock.sleep_through(HOUR))
            read, write = await asyncio.gather(
                client.leads.get(7),
                client.leads.create(name="Ana", pipeline_id=1, stage_id=4),
                return_exceptions=True,
            )
            assert isinstance(read, RequestTimeoutError)
            assert isinstance(write, OutcomeUnknownError)
            assert clock.monotonic() == 10.0 + HOUR
            assert (await client.leads.get(7)).id == 7
            assert client.budget().in_flight == 0

    async def test_a_pause_is_over_when_it_wakes(self) -> None:
        clock = Sleeping()
        app = App(Answer(429, {"retry_after": 50}), WELL, clock=clock)
        clock.call_at(10.0, lambda: clock.sleep_through(HOUR))
        async with client_of(app) as client:
            assert (await client.leads.get(7)).id == 7
            assert client.budget().gate_closed_for == 0.0
        assert app.times == [0.0, 10.0 + HOUR]


class Late:
    """Brings some requests to the sandbox long after their sender has given them up."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock, late: int, delay: float) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.late = late
        self.delay = delay
        self.under_way: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if len(self.under_way) >= self.late:
            await self.sandbox.app(scope, receive, send)  # type: ignore[arg-type]
            return
        self.under_way.append(asyncio.ensure_future(self.bring(scope)))
        await asyncio.Event().wait()

    async def bring(self, scope: Mapping[str, Any]) -> None:
        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            """Nobody listens any more."""

        await self.clock.sleep(self.delay)
        await self.sandbox.app(scope, receive, send)  # type: ignore[arg-type]


@pytest.mark.parametrize("window", ["fixed", "sliding", "aligned"])
async def test_requests_counted_five_seconds_after_they_were_given_up_draw_no_429(
    window: Any,
) -> None:
    clock = FakeClock()
    sandbox = Sandbox(10, clock=clock, window=window)
    app = Late(sandbox, clock, late=20, delay=30.0 + 4.9)
    transport = in_process_transport(app)
    settings: dict[str, Any] = {"clock": clock, "transport": transport, "retry": at_once(1)}
    async with AsyncClient(FULL_KEY, base_url=BASE_URL, **settings) as client:
        ends = await asyncio.gather(
            *(client.leads.get(7) for _ in range(240)), return_exceptions=True
        )
    await asyncio.gather(*app.under_way)
    assert sum(isinstance(end, RequestTimeoutError) for end in ends) == 20
    assert len(sandbox.arrivals) == 240
    assert sandbox.refused == 0


class TestSomebodyElseSpendsTheKey:
    """A restart inside the minute looks the same: calls that nobody here remembers."""

    @pytest.mark.parametrize("spent", [1, 30, 60])
    async def test_one_429_is_hidden_and_teaches_the_pause(self, spent: int) -> None:
        clock = FakeClock()
        sandbox = Sandbox(10, clock=clock)
        async with sandbox_client(sandbox=sandbox, clock=clock) as before:
            await asyncio.gather(*(before.leads.get(7) for _ in range(spent)))
        transport = in_process_transport(sandbox.app)
        url = BASE_URL.replace(
            "http://localhost", "https://crm.invalid"
        )  # the same server, another memory
        options: dict[str, Any] = {"clock": clock, "transport": transport, "base_url": url}
        async with AsyncClient(FULL_KEY, **options) as client:
            for _ in range(130):
                await client.leads.get(7)
        assert sandbox.refused == 1
        assert len(sandbox.arrivals) == spent + 130 + 1

    async def test_all_at_once_they_pause_together_and_see_only_success(self) -> None:
        clock = FakeClock()
        sandbox = Sandbox(10, clock=clock)
        async with sandbox_client(sandbox=sandbox, clock=clock) as before:
            await asyncio.gather(*(before.leads.get(7) for _ in range(50)))
        transport = in_process_transport(sandbox.app)
        url = BASE_URL.replace("http://localhost", "https://crm.invalid")
        options: dict[str, Any] = {"clock": clock, "transport": transport, "base_url": url}
        async with AsyncClient(FULL_KEY, max_connections=5, **options) as client:
            leads = await asyncio.gather(*(client.leads.get(7) for _ in range(200)))
        assert [lead.id for lead in leads] == [7] * 200
        # Those on the wire together, once; nobody knocked while the pause was on.
        assert sandbox.refused <= 5
        refused = {arrival.at for arrival in sandbox.arrivals if arrival.status == 429}
        assert len(refused) == 1
