"""What answers say about the budget besides their status: headers that only ever lower it."""

from __future__ import annotations

import asyncio

import pytest

from syncro_async import RateLimit
from syncro_async.events import BudgetLowered, Event, GateClosed
from tests.transport.scripted_app import Answer, App, Asked, client_of

LEAD = {"lead": {"id": 7}}
MINUTE = RateLimit(60, 60.0)


def said(left: str) -> Answer:
    return Answer(body=LEAD, headers=(("x-ratelimit-remaining", left),))


async def test_fewer_calls_left_than_we_know_of_lower_the_budget_for_a_window() -> None:
    async with client_of(App(said("20"), Answer(body=LEAD)), rate_limit=MINUTE) as client:
        await client.leads.get(7)
        assert client.budget().available == 20
        await client.leads.get(7)
        assert client.budget().available == 19


@pytest.mark.parametrize("left", ["59", "1000", "-1", "abc", "", "5.5", "\u00b2", "9" * 12])
async def test_more_of_them_and_rubbish_change_nothing(left: str) -> None:
    answer = Answer(
        body=LEAD, headers=(("x-ratelimit-remaining", left.encode().decode("latin-1")),)
    )
    async with client_of(App(answer), rate_limit=MINUTE) as client:
        await client.leads.get(7)
        assert client.budget().available == 59


async def test_calls_of_our_own_are_never_taken_for_a_stranger_s() -> None:
    counted = 0

    async def counting(asked: Asked) -> Answer:
        nonlocal counted
        counted += 1
        await asked.clock.sleep(0.1 * (counted % 7))  # the answers overtake each other
        return said(str(60 - counted))

    async with client_of(App(*[counting] * 60), rate_limit=MINUTE) as client:
        await asyncio.gather(*(client.leads.get(7) for _ in range(60)))
        assert client.budget().used == 60
        await client.leads.get(7)


class TestAStranger:
    async def test_who_takes_part_of_the_window_is_told_of_once(self) -> None:
        seen: list[Event] = []
        server = Shared(strangers=20)
        async with client_of(
            App(*[server] * 500), rate_limit=MINUTE, observers=[seen.append], max_connections=5
        ) as client:
            for _ in range(4):
                await asyncio.gather(*(client.leads.get(7) for _ in range(60)))
        lowered = [event for event in seen if isinstance(event, BudgetLowered)]
        assert len([event for event in seen if isinstance(event, GateClosed)]) > 1
        assert [round(event.foreign_estimate, -1) for event in lowered] == [20]

    async def test_is_told_of_though_it_takes_a_single_call(self) -> None:
        seen: list[Event] = []
        server = Shared(strangers=1)
        async with client_of(
            App(*[server] * 500), rate_limit=MINUTE, observers=[seen.append], max_connections=1
        ) as client:
            await asyncio.gather(*(client.leads.get(7) for _ in range(180)))
        lowered = [event for event in seen if isinstance(event, BudgetLowered)]
        assert lowered[0].foreign_estimate == 1

    async def test_is_said_in_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        server = Shared(strangers=20)
        async with client_of(App(*[server] * 500), rate_limit=MINUTE, max_connections=1) as client:
            for _ in range(4):
                await asyncio.gather(*(client.leads.get(7) for _ in range(60)))
            assert client.budget().foreign_estimate == 20
        told = [r.getMessage() for r in caplog.records if "another program" in r.getMessage()]
        assert told == [
            "another program uses this key; calls of each window left to it from now on: 20"
        ]


class Shared:
    """A server with a fixed window of 60, of which somebody else has taken some already."""

    def __init__(self, strangers: int) -> None:
        self.strangers = strangers
        self.opened_at = -1000.0
        self.counted = 0

    async def __call__(self, asked: Asked) -> Answer:
        now = asked.clock.monotonic()
        if now >= self.opened_at + 60.0:
            self.opened_at, self.counted = now, self.strangers
        if self.counted >= 60:
            left = self.opened_at + 60.0 - now
            return Answer(429, {"retry_after": left})
        self.counted += 1
        await asked.clock.sleep(0.2)
        return Answer(body=LEAD)


async def test_one_answer_about_another_limit_of_the_service_costs_nothing() -> None:
    app = App(said("0"), *[Answer(body=LEAD)] * 59)
    async with client_of(app, rate_limit=MINUTE) as client:
        for _ in range(60):
            await client.leads.get(7)
        assert client.budget().used == 60


async def test_each_pause_is_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Event] = []

    async def refused(asked: Asked) -> Answer:
        await asked.clock.sleep(0.2)
        return Answer(429, {"retry_after": 5})

    app = App(*[refused] * 20, *[Answer(body=LEAD)] * 20, refused, Answer(body=LEAD))
    async with client_of(app, rate_limit=MINUTE, observers=[seen.append]) as client:
        await asyncio.gather(*(client.leads.get(7) for _ in range(20)))
        await client.leads.get(7)
    pauses = [event.again for event in seen if isinstance(event, GateClosed)]
    assert pauses == [False, *[True] * 19, False]
    told = [r.getMessage() for r in caplog.records if "answered 429" in r.getMessage()]
    assert told == ["the server answered 429: every call of this key waits 6.0 s"] * 2


async def test_a_number_that_is_told_twice_is_not_known() -> None:
    twice = (("x-ratelimit-remaining", "20"), ("x-ratelimit-remaining", "5"))
    async with client_of(App(Answer(body=LEAD, headers=twice)), rate_limit=MINUTE) as client:
        await client.leads.get(7)
        assert client.budget().available == 59
