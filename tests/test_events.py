"""What observers and the log are told."""

from __future__ import annotations

import asyncio
import logging

import pytest

from syncro_async.errors import NotFoundError
from syncro_async.events import (
    AnswerReceived,
    AttemptFailed,
    CallAbandoned,
    CallEnded,
    CallStarted,
    Event,
    GateClosed,
    ImportInDoubt,
    ItemUnreadable,
    LimitAnnounced,
    Observers,
    RequestSent,
    RetryRefused,
    RetryScheduled,
    ServerFailed,
    SlotWaited,
    log_event,
)
from tests.transport.scripted_app import BASE_URL, ONE, Answer, App, Asked, at_once, client_of

WELL = Answer(body={"lead": {"id": 7}})


async def late(asked: Asked) -> Answer:
    await asked.clock.sleep(0.25)
    return WELL


class TestObservers:
    async def test_a_call_is_told_step_by_step(self) -> None:
        seen: list[Event] = []
        app = App(ConnectionResetError("by peer"), Answer(429, {"retry_after": 2}), late)
        async with client_of(app, observers=[seen.append], retry=at_once()) as client:
            await client.leads.get(7)
        read = ("GET", "/leads/7")
        broken = "the connection broke before the whole answer was there (ReadError: by peer)"
        assert seen == [
            CallStarted(*read, BASE_URL, "interactive", 0.0),
            RequestSent(*read, 0.0),
            AttemptFailed(*read, "NoAnswerError", 0.0, 0.0),
            RetryScheduled(*read, 1, 0.0, f"NoAnswerError: {broken}"),
            RequestSent(*read, 0.0),
            AnswerReceived(*read, 429, 0.0, 0.0),
            GateClosed(3.0, 0.0),
            SlotWaited(*read, "interactive", 3.0),
            RequestSent(*read, 3.0),
            AnswerReceived(*read, 200, 3.25, 0.25),
            CallEnded(*read, None, 3.25, 3.25),
        ]

    async def test_the_lane_is_told_with_the_wait(self) -> None:
        seen: list[Event] = []
        async with client_of(
            App(WELL), observers=[seen.append], rate_limit=ONE, lane="bulk"
        ) as client:
            await client.leads.get(7)
            await client.leads.get(8)
        assert [e for e in seen if isinstance(e, SlotWaited)] == [
            SlotWaited("GET", "/leads/8", "bulk", 60.25)
        ]

    @pytest.mark.parametrize(
        ("date", "told"),
        [
            ("Tue, 30 Jun 2026 12:00:00 GMT", 1_782_820_800.0),
            ("yesterday", None),
            (None, None),
        ],
    )
    async def test_the_servers_clock_is_told_where_the_answer_shows_it(
        self, date: str | None, told: float | None
    ) -> None:
        seen: list[Event] = []
        headers = () if date is None else (("Date", date),)
        app = App(Answer(404, {}, headers=headers))
        async with client_of(app, observers=[seen.append]) as client:
            with pytest.raises(NotFoundError):
                await client.leads.get(7)
        assert [e.server_time for e in seen if isinstance(e, AnswerReceived)] == [told]

    async def test_paths_carry_no_query(self) -> None:
        seen: list[Event] = []
        async with client_of(App(), observers=[seen.append]) as client:
            await client.request("GET", "/leads", params={"q": "ana@example.com"})
        assert "ana" not in repr(seen)

    @pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
    async def test_an_observer_that_fails_does_not_affect_the_call_or_the_others(
        self, caplog: pytest.LogCaptureFixture, error: type[BaseException]
    ) -> None:
        def fails(event: Event) -> None:
            raise error(f"no use for {type(event).__name__}")

        seen: list[Event] = []
        app = App(Answer(500), WELL)
        async with client_of(app, observers=[fails, seen.append], retry=at_once()) as client:
            assert (await client.leads.get(7)).id == 7
            assert client.budget().in_flight == 0
        assert len(seen) == 8
        assert caplog.text.count("an observer failed on RequestSent") == 2
        assert f"{error.__name__}: no use for RequestSent" in caplog.text

    async def test_one_that_fails_on_an_abandoned_call_breaks_nothing(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fails(event: Event) -> None:
            if isinstance(event, CallAbandoned):
                raise TypeError

        app = App(late)
        async with client_of(app, observers=[fails]) as client:
            call = asyncio.ensure_future(client.leads.get(7))
            await app.arrived()
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        await asyncio.sleep(0)
        assert "an observer failed on CallAbandoned" in caplog.text

    def test_nobody_listens_unless_the_log_or_an_observer_does(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, "syncro_async")
        assert not Observers(())
        assert Observers([print])
        caplog.set_level(logging.INFO, "syncro_async")
        assert Observers(())


class TestTheLog:
    @pytest.mark.parametrize(
        ("event", "level", "line"),
        [
            (
                SlotWaited("GET", "/leads", "bulk", 5.1),
                logging.INFO,
                "GET /leads waited 5.1 s for budget (bulk lane)",
            ),
            (
                SlotWaited("GET", "/leads", "interactive", 5.1),
                logging.WARNING,
                "GET /leads waited 5.1 s for budget (interactive lane)",
            ),
            (
                SlotWaited("GET", "/leads", "interactive", 5.1, again=True),
                logging.INFO,
                "GET /leads waited 5.1 s for budget (interactive lane)",
            ),
            (
                ServerFailed("GET", "/leads", 500, "não"),
                logging.WARNING,
                "GET /leads: the server failed with 500: não",
            ),
            (
                GateClosed(61.0, 0.0),
                logging.WARNING,
                "the server answered 429: every call of this key waits 61.0 s",
            ),
            (
                RetryScheduled("GET", "/leads", 2, 1.25, "ServerError: não"),
                logging.INFO,
                "GET /leads: attempt 2 failed (ServerError: não), again in 1.2 s",
            ),
            (
                ImportInDoubt("http://localhost", "rows.journal", 2),
                logging.INFO,
                "import rows.journal: 2 rows are in doubt",
            ),
            (
                RetryRefused("GET", "/leads", 1, "ServerError: 500", waits=False),
                logging.WARNING,
                (
                    "GET /leads: attempt 1 failed (ServerError: 500) and is not repeated: too many"
                    " calls of this client failed, its stock of retries (RetryPolicy.quota) is used"
                    " up; the call raises its error"
                ),
            ),
            (
                RetryRefused("GET", "/leads", 2, "ServerError: 500", waits=True, again=True),
                logging.INFO,
                (
                    "GET /leads: attempt 2 failed (ServerError: 500) and is not repeated: too many"
                    " calls of this client failed, its stock of retries (RetryPolicy.quota) is used"
                    " up; the bulk job waits for the server"
                ),
            ),
            (
                ServerFailed("GET", "/leads", 502, "<h1>Bad gateway</h1>"),
                logging.WARNING,
                "GET /leads: the server failed with 502: <h1>Bad gateway</h1>",
            ),
            (
                LimitAnnounced(500, 100),
                logging.WARNING,
                (
                    "the service allows this key 500 calls, the client keeps to 100: give"
                    " AsyncClient the dialect of your plan, or rate_limit"
                ),
            ),
            (
                ItemUnreadable("/leads", 3, "why"),
                logging.WARNING,
                "/leads: item 3 of the page is unreadable: why",
            ),
            (
                CallAbandoned("POST", "/leads", "it ended well"),
                logging.WARNING,
                "POST /leads was cancelled after it was sent: it ended well",
            ),
        ],
    )
    def test_what_a_person_should_know_is_said_in_a_line(
        self, event: Event, level: int, line: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "syncro_async")
        log_event(event)
        assert caplog.record_tuples == [("syncro_async", level, line)]

    @pytest.mark.parametrize(
        "event",
        [
            SlotWaited("GET", "/leads", "bulk", 5.0),
            RequestSent("GET", "/leads", 1.0),
            AnswerReceived("GET", "/leads", 200, 1.0, 0.5),
            AttemptFailed("GET", "/leads", "NoAnswerError", 1.0, 0.5),
            CallAbandoned("GET", "/leads", "it ended well"),
        ],
    )
    def test_the_rest_is_for_debugging(
        self, event: Event, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "syncro_async")
        log_event(event)
        assert caplog.record_tuples == [("syncro_async", logging.DEBUG, repr(event))]
