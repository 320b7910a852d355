"""A 429 in spite of all: who waits, for how long, and who hears of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from syncro_async import SYNCRO, RateLimit, RetryPolicy
from syncro_async.errors import BudgetWaitError, RateLimitedError, ServiceUnavailableError
from syncro_async.events import Event, GateClosed
from tests.transport.scripted_app import ONE, Answer, App, Asked, at_once, client_of

WELL = Answer(body={"lead": {"id": 7}})


def refusal(header: str | None = None, body: Any = None) -> Answer:
    said: dict[str, Any] = {"message": "Rate limit excedido para esta API Key."}
    headers = () if header is None else (("retry-after", header),)
    return Answer(429, said if body is None else {**said, "retry_after": body}, headers)


async def late_refusal(asked: Asked) -> Answer:
    await asked.clock.sleep(1.0)
    return refusal("5")


async def pause_after(*answers: Answer, **options: Any) -> float:
    """When the call was sent again that those answers turned away."""
    app = App(*answers, WELL)
    async with client_of(app, **options) as client:
        await client.leads.get(7)
    return app.times[-1]


class TestThePause:
    async def test_it_is_what_was_asked_and_a_second(self) -> None:
        assert await pause_after(refusal("7", 7)) == 8.0

    async def test_zero_is_a_second(self) -> None:
        assert await pause_after(refusal("0", 0)) == 1.0

    @pytest.mark.parametrize(
        ("header", "body", "seconds"),
        [
            ("3", 9, 9),
            ("9", 3, 9),
            (None, 5, 5),
            ("5", None, 5),
            ("4", "12", 12),
            (None, 12.5, 12.5),
        ],
    )
    async def test_the_larger_usable_value_counts(
        self, header: str | None, body: Any, seconds: float
    ) -> None:
        assert await pause_after(refusal(header, body)) == seconds + 1

    @pytest.mark.parametrize(
        "nonsense", ["-1", "", "abc", "nan", "inf", "1e309", "1" * 35, "²", "31622401"]
    )
    async def test_rubbish_is_passed_over_for_the_longest_window_and_a_second(
        self, nonsense: str
    ) -> None:
        assert await pause_after(refusal(nonsense, nonsense)) == 61.0

    @pytest.mark.parametrize("nonsense", [[], True, {"seconds": 5}, -1])
    async def test_so_is_rubbish_in_the_body(self, nonsense: Any) -> None:
        assert await pause_after(refusal(None, nonsense)) == 61.0

    async def test_two_headers_contradict_each_other(self) -> None:
        two = Answer(429, b"", (("retry-after", "5"), ("retry-after", "6")))
        assert await pause_after(two) == 61.0

    async def test_the_fallback_follows_the_client_s_own_rates(self) -> None:
        rates = [RateLimit(10, 1.0), RateLimit(100, 200.0)]
        assert await pause_after(refusal(), rate_limit=rates) == 201.0

    async def test_a_dialect_may_name_a_fallback_and_a_shortest_pause(self) -> None:
        dialect = replace(SYNCRO, default_retry_after=90.0, min_retry_after=60.0)
        assert await pause_after(refusal(), dialect=dialect) == 90.0
        assert await pause_after(refusal("3"), dialect=dialect) == 60.0

    async def test_a_date_is_measured_against_the_answer_s_own(self) -> None:
        wrong = datetime(2020, 1, 1, 12, 0, tzinfo=UTC)
        headers = (
            ("date", format_datetime(wrong, usegmt=True)),
            ("retry-after", format_datetime(wrong + timedelta(seconds=20), usegmt=True)),
        )
        assert await pause_after(Answer(429, b"", headers)) == 21.0

    async def test_a_429_in_html_is_handled_by_its_status(self) -> None:
        page = Answer(429, b"<h1>Too many</h1>", (("content-type", "text/html"),))
        assert await pause_after(page) == 61.0


class TestWhoWaits:
    async def test_every_caller_pauses_and_sees_only_success(self) -> None:
        app = App(*[WELL] * 3, refusal("5"), WELL)
        async with client_of(app) as client:
            for _ in range(3):
                await client.leads.get(7)
            leads = await asyncio.gather(*(client.leads.get(7) for _ in range(20)))
        assert [lead.id for lead in leads] == [7] * 20
        # What was on the wire already is answered; nobody else is sent before the pause is over.
        later = [at for at in app.times if at > 0]
        assert min(later) == 6.0

    async def test_the_one_turned_away_goes_first(self) -> None:
        app = App(late_refusal, WELL)
        async with client_of(app, rate_limit=ONE) as client:
            calls = [asyncio.ensure_future(client.leads.get(number)) for number in range(4)]
            await asyncio.gather(*calls)
        assert [asked.path for asked in app.asked] == [f"/leads/{n}" for n in (0, 0, 1, 2, 3)]

    @pytest.mark.parametrize("max_wait", [None, 30.0])
    async def test_nor_is_a_call_that_has_its_slot_but_no_connection_yet(
        self, max_wait: float | None
    ) -> None:
        app = App(late_refusal, WELL)
        async with client_of(app, max_connections=1, max_wait=max_wait) as client:
            leads = await asyncio.gather(*(client.leads.get(number) for number in range(3)))
            assert client.budget().in_flight == 0
        assert [lead.id for lead in leads] == [7] * 3
        assert app.times == [0.0, 7.0, 7.0, 7.0]

    async def test_if_it_cannot_outwait_the_pause_it_is_told_so_and_nothing_was_sent(self) -> None:
        app = App(late_refusal, WELL)
        async with client_of(app, max_connections=1) as client:
            first = asyncio.ensure_future(client.leads.get(1))
            await app.arrived()
            with pytest.raises(BudgetWaitError, match=r"5\.0 s are allowed") as caught:
                await client.with_options(max_wait=6.0).leads.get(2)
            assert caught.value.attempts == 0
            assert (await first).id == 7
        assert [asked.path for asked in app.asked] == ["/leads/1", "/leads/1"]

    async def test_no_attempt_and_no_slot_is_charged(self) -> None:
        app = App(*[refusal("1")] * 20, WELL)
        async with client_of(app, retry=at_once(1)) as client:
            await client.leads.get(7)
            assert client.budget().available == 59
        assert len(app.asked) == 21

    async def test_an_endless_429_ends_with_max_elapsed(self) -> None:
        app = App(refusal("9"))
        async with client_of(app, retry=RetryPolicy(max_elapsed=100.0)) as client:
            with pytest.raises(RateLimitedError) as caught:
                await client.leads.get(7)
        assert app.times == [10.0 * n for n in range(11)]
        error = caught.value
        assert (error.retry_after, error.pause, error.attempts) == (9.0, 10.0, 11)

    @pytest.mark.parametrize(
        "options", [{"max_wait": 60.0}, {"retry": RetryPolicy(max_elapsed=60)}]
    )
    async def test_a_pause_that_does_not_fit_is_raised_at_once(
        self, options: dict[str, Any]
    ) -> None:
        app = App(refusal("3600"), WELL)
        async with client_of(app, **options) as client:
            with pytest.raises(RateLimitedError, match="429: Rate limit excedido") as caught:
                await client.leads.get(7)
            assert app.clock.monotonic() == 0.0
            assert client.budget().gate_closed_for == 3601.0
        assert caught.value.retry_after == 3600.0
        assert len(app.asked) == 1

    async def test_others_that_cannot_outwait_it_are_told_to_come_later(self) -> None:
        app = App(refusal("3600"), WELL)
        async with client_of(app, max_wait=60.0) as client:
            with pytest.raises(RateLimitedError):
                await client.leads.get(7)
            with pytest.raises(BudgetWaitError) as caught:
                await client.leads.get(8)
            assert caught.value.wait_needed == 3601.0
            await client.with_options(max_wait=None).leads.get(9)
        assert app.times == [0.0, 3601.0]

    async def test_a_429_without_a_time_says_how_long_the_fallback_is(self) -> None:
        async with client_of(App(refusal()), max_wait=5.0) as client:
            with pytest.raises(RateLimitedError) as caught:
                await client.leads.get(7)
        assert (caught.value.retry_after, caught.value.pause) == (61.0, 61.0)

    async def test_the_pause_is_told_and_logged_although_nobody_listens(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        seen: list[Event] = []
        async with client_of(App(refusal("4"), WELL), observers=[seen.append]) as client:
            await client.leads.get(7)
        assert GateClosed(5.0, 0.0) in seen
        caplog.clear()
        async with client_of(App(refusal("4"), WELL)) as client:
            await client.leads.get(7)
        assert "every call of this key waits 5.0 s" in caplog.text


class TestServiceUnavailable:
    async def test_its_time_gets_no_extra_second(self) -> None:
        later = Answer(503, b"", (("retry-after", "8"),))
        assert await pause_after(later) == 8.0

    async def test_a_time_beyond_max_wait_is_raised_at_once(self) -> None:
        app = App(Answer(503, {"retry_after": 120}), WELL)
        async with client_of(app, max_wait=60.0) as client:
            with pytest.raises(ServiceUnavailableError) as caught:
                await client.leads.get(7)
        assert caught.value.retry_after == 120.0
        assert len(app.asked) == 1

    async def test_it_is_an_attempt_like_any_other(self) -> None:
        app = App(Answer(503, b"", (("retry-after", "1"),)))
        async with client_of(app) as client:
            with pytest.raises(ServiceUnavailableError) as caught:
                await client.leads.get(7)
        assert caught.value.attempts == 4
        assert app.times == [0.0, 1.0, 2.0, 3.0]
