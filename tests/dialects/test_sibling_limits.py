"""The siblings' limits hold, and their pauses are as long as they ask and stop whom they should."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from syncro_async import RateLimit, RetryPolicy
from syncro_async.dialects import ROUTEMCP, WOLFEO
from syncro_async.errors import (
    APIError,
    BudgetWaitError,
    ConfigurationError,
    ProviderRateLimitedError,
    RateLimitedError,
)
from syncro_async.events import Event, GateClosed, LimitAnnounced, RetryScheduled
from tests.dialects.services import RouteMCP, Wolfeo
from tests.transport.scripted_app import Answer, App, Asked, client_of


def most_in_any(seconds: float, times: list[float]) -> int:
    return max(sum(1 for at in times if begin <= at < begin + seconds) for begin in times)


class TestWolfeo:
    async def test_600_a_minute_and_10_a_second_hold_at_once_and_draw_no_429(self) -> None:
        service = Wolfeo()
        app = App(service)
        async with client_of(app, dialect=WOLFEO) as client:
            calls = (client.request("GET", "/contacts") for _ in range(700))
            await asyncio.gather(*calls)
        assert service.count.refused == 0
        assert len(app.times) == 700
        assert most_in_any(1.0, app.times) == 10
        assert most_in_any(60.0, app.times) <= 600

    def test_both_limits_are_its_own(self) -> None:
        assert WOLFEO.rates == (RateLimit(600, 60.0), RateLimit(10, 1.0))

    @pytest.mark.parametrize(
        ("asked", "pause"), [(None, 60.0), ("0", 60.0), ("3", 60.0), ("90", 91.0), ("soon", 60.0)]
    )
    async def test_a_429_is_waited_for_60_s_at_least(self, asked: str | None, pause: float) -> None:
        headers = () if asked is None else (("retry-after", asked),)
        app = App(Answer(429, {"message": "Too Many Attempts."}, headers), Answer())
        async with client_of(app, dialect=WOLFEO) as client:
            await asyncio.gather(*(client.request("POST", "/contact", json={}) for _ in range(3)))
        assert app.times == [0.0, pause, pause, pause]
        assert [asked.method for asked in app.asked] == ["POST"] * 4

    async def test_a_429_that_cannot_be_waited_for_says_how_long_it_would_be(self) -> None:
        app = App(Answer(429, {"message": "Too Many Attempts."}))
        async with client_of(app, dialect=WOLFEO, max_wait=59.0) as client:
            with pytest.raises(RateLimitedError, match="Too Many Attempts") as caught:
                await client.request("GET", "/contacts")
            with pytest.raises(BudgetWaitError):
                await client.request("GET", "/contacts")
        assert caught.value.retry_after == 60.0
        assert len(app.asked) == 1

    @pytest.mark.parametrize("status", [401, 403, 404])
    async def test_a_no_counts_as_a_request(self, status: int) -> None:
        async with client_of(App(Answer(status)), dialect=WOLFEO) as client:
            with pytest.raises(APIError, match=str(status)):
                await client.request("GET", "/contacts")
            assert client.budget().available == 9


class TestTheBodyOfAServerError:
    async def test_it_is_logged_once_for_a_call_capped_and_without_the_key(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        key = "crm_kept_to_itself_0123456789"
        page = b"<h1>" + key.encode() + b"</h1>" + b"\xe2\x82\xac" * 3000
        app = App(Answer(500, page), Answer(503, b"other"), Answer())
        async with client_of(app, dialect=WOLFEO) as client:
            await client.request("GET", "/contacts")
        (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
        line = record.getMessage()
        assert line.startswith("GET /contacts: the server failed with 500: <h1>***</h1>€")
        assert key not in caplog.text
        assert 500 <= len(line.partition("500: ")[2]) <= 570
        assert line.partition("; the error")[0].endswith(f"… ({len(page)} bytes in all)")

    async def test_an_empty_one_is_said_to_be(self, caplog: pytest.LogCaptureFixture) -> None:
        async with client_of(App(Answer(502, b""), Answer()), dialect=WOLFEO) as client:
            await client.request("GET", "/contacts")
        assert "GET /contacts: the server failed with 502: (no body)" in caplog.text

    async def test_a_no_is_not_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        async with client_of(App(Answer(404, b"secret")), dialect=WOLFEO) as client:
            with pytest.raises(APIError, match="404"):
                await client.request("GET", "/contacts")
        assert "secret" not in caplog.text


class TestRouteMCPPlans:
    @pytest.mark.parametrize(
        ("plan", "calls"), [("individual", 100), ("team", 500), ("organization", 2000)]
    )
    async def test_the_plan_says_how_many_a_minute(self, plan: Any, calls: int) -> None:
        async with client_of(App(), dialect=ROUTEMCP.with_options(plan=plan)) as client:
            assert (client.budget().limit, client.budget().window) == (calls, 60.0)
        assert ROUTEMCP.with_options(plan=plan.title()).rates == (RateLimit(calls, 60.0),)

    def test_without_a_word_it_is_the_smallest(self) -> None:
        assert ROUTEMCP.rates == (RateLimit(100, 60.0),)
        assert ROUTEMCP.with_options(end_user_id="ana").rates == ROUTEMCP.rates

    def test_a_plan_that_is_none_is_refused_with_those_there_are(self) -> None:
        plan: Any = "gold"
        with pytest.raises(ConfigurationError, match="'gold' must be one of individual, team, org"):
            ROUTEMCP.with_options(plan=plan)

    async def test_a_plan_s_budget_is_spent_without_a_429(self) -> None:
        service = RouteMCP()
        app = App(service)
        dialect = ROUTEMCP.with_options(provider="hubspot")
        async with client_of(app, dialect=dialect) as client:
            await asyncio.gather(*(client.request("GET", "/contacts") for _ in range(150)))
        assert service.count.refused == 0
        assert most_in_any(60.0, app.times) == 100

    async def test_an_answer_that_names_another_plan_s_limit_is_told_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        seen: list[Event] = []
        app = App(RouteMCP(calls_a_minute=500))
        dialect = ROUTEMCP.with_options(provider="hubspot")
        async with client_of(app, dialect=dialect, observers=[seen.append]) as client:
            await client.request("GET", "/contacts")
            await client.request("GET", "/contacts")
        assert [e for e in seen if isinstance(e, LimitAnnounced)] == [LimitAnnounced(500, 100)]
        assert caplog.text.count("allows this key 500 calls, the client keeps to 100") == 1

    @pytest.mark.parametrize(
        ("announced", "rates", "told"),
        [
            ("100", None, []),
            ("101", None, [LimitAnnounced(101, 100)]),
            ("99", None, [LimitAnnounced(99, 100)]),
            # Who chose less than the service allows meant to.
            ("100", RateLimit(50, 60.0), []),
            ("40", RateLimit(50, 60.0), [LimitAnnounced(40, 50)]),
            ("10", [RateLimit(50, 60.0), RateLimit(10, 1.0)], []),
            *((odd, None, []) for odd in ("", "-1", "many", "1.5", "²", "1" * 10)),
        ],
    )
    async def test_what_is_told_of_an_announced_limit(
        self, announced: str, rates: Any, told: list[Event]
    ) -> None:
        seen: list[Event] = []
        app = App(Answer(headers=(("x-ratelimit-limit", announced),)))
        options = {"dialect": ROUTEMCP, "rate_limit": rates, "observers": [seen.append]}
        async with client_of(app, **options) as client:
            await client.request("GET", "/contacts")
        assert [e for e in seen if isinstance(e, LimitAnnounced)] == told


def provider_limit(seconds: str | None = "30") -> Answer:
    body = {"success": False, "statusCode": 429, "code": "PROVIDER_RATE_LIMITED", "message": "Slow"}
    return Answer(429, body, () if seconds is None else (("retry-after", seconds),))


class TestTheProvidersLimit:
    async def by_end_user(self, asked: Asked) -> Answer:
        limited = asked.headers["x-end-user-id"] == "ana" and asked.at < 30.0
        return provider_limit() if limited else Answer()

    async def test_only_the_call_it_refused_waits(self) -> None:
        app = App(self.by_end_user)
        seen: list[Event] = []
        async with client_of(app, dialect=ROUTEMCP, observers=[seen.append]) as client:
            ana, bob = (
                client.with_options(dialect=ROUTEMCP.with_options(end_user_id=name))
                for name in ("ana", "bob")
            )
            first = asyncio.ensure_future(ana.request("POST", "/contacts", json={}))
            await app.arrived()
            for _ in range(3):
                await bob.request("GET", "/contacts")
            assert app.clock.monotonic() == 0.0
            assert client.budget().gate_closed_for == 0.0
            await first
        assert app.times == [0.0] * 4 + [31.0]
        assert not [e for e in seen if isinstance(e, GateClosed)]
        (again,) = [e for e in seen if isinstance(e, RetryScheduled)]
        assert (again.attempt, again.delay) == (1, 31.0)

    async def test_it_counts_as_a_request_and_charges_no_attempt(self) -> None:
        app = App(*[provider_limit("1")] * 6, Answer())
        async with client_of(app, dialect=ROUTEMCP, retry=RetryPolicy(attempts=1)) as client:
            await client.request("GET", "/contacts")
            assert client.budget().available == 93
        assert app.times == [2.0 * n for n in range(7)]

    async def test_without_a_time_it_is_the_minute_and_a_second(self) -> None:
        app = App(provider_limit(None), Answer())
        async with client_of(app, dialect=ROUTEMCP) as client:
            await client.request("GET", "/contacts")
        assert app.times == [0.0, 61.0]

    @pytest.mark.parametrize(
        "options", [{"max_wait": 30.0}, {"retry": RetryPolicy(max_elapsed=30.0)}]
    )
    async def test_a_wait_that_does_not_fit_is_raised_at_once(
        self, options: dict[str, Any]
    ) -> None:
        app = App(provider_limit(), Answer())
        async with client_of(app, dialect=ROUTEMCP, **options) as client:
            with pytest.raises(ProviderRateLimitedError, match="PROVIDER_RATE_LIMITED") as caught:
                await client.request("GET", "/contacts")
            await client.request("GET", "/others")
        assert (caught.value.retry_after, caught.value.attempts) == (30.0, 1)
        assert app.times == [0.0, 0.0]

    async def test_it_ends_with_max_elapsed(self) -> None:
        app = App(provider_limit("9"))
        options: dict[str, Any] = {"retry": RetryPolicy(max_elapsed=35.0)}
        async with client_of(app, dialect=ROUTEMCP, **options) as client:
            with pytest.raises(ProviderRateLimitedError) as caught:
                await client.request("GET", "/contacts")
        assert app.times == [0.0, 10.0, 20.0, 30.0]
        assert caught.value.attempts == 4

    async def test_the_service_s_own_limit_pauses_the_whole_key(self) -> None:
        own = Answer(429, {"success": False, "statusCode": 429}, (("retry-after", "5"),))
        app = App(own, Answer())
        async with client_of(app, dialect=ROUTEMCP) as client:
            await client.request("GET", "/contacts")
            await client.request("GET", "/contacts")
        assert app.times == [0.0, 6.0, 6.0]
