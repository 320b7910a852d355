"""Callers that go away, and clients that are closed under theirs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from syncro_async import AsyncClient, RateLimit
from syncro_async.errors import (
    ConfigurationError,
    NoAnswerError,
    OutcomeUnknownError,
    ServerError,
)
from syncro_async.events import CallAbandoned, Event, RequestSent
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.http_engine import in_process_transport
from tests.transport.scripted_app import (
    AFTER_ITS_ANSWER,
    AFTER_ITS_LOSS,
    BASE_URL,
    KEY,
    ONE,
    Answer,
    App,
    Asked,
    at_once,
    client_of,
    never,
)

WELL = Answer(body={"lead": {"id": 7}})
BROKEN = "the connection broke before the whole answer was there"


class Held:
    """A step that answers when it is told to."""

    def __init__(self, answer: Answer | Exception = WELL) -> None:
        self.answer = answer
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, asked: Asked) -> Answer:
        self.arrived.set()
        await self.go_on.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def still() -> FakeClock:
    return FakeClock(autojump=False)


def start(client: AsyncClient, lead: int = 7) -> asyncio.Task[Any]:
    return asyncio.ensure_future(client.leads.get(lead))


def start_write(client: AsyncClient) -> asyncio.Task[Any]:
    return asyncio.ensure_future(client.leads.create(name="Ana", pipeline_id=1, stage_id=2))


async def settled(*tasks: asyncio.Task[Any]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def idle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


class TestInTheQueue:
    async def test_a_caller_leaves_at_once_and_its_place_goes_to_the_next(self) -> None:
        app = App(WELL, clock=still())
        async with client_of(app, rate_limit=ONE) as client:
            await client.leads.get(0)
            first, second = start(client, 1), start(client, 2)
            await idle()
            assert client.budget().waiting == 2
            first.cancel()
            assert isinstance((await settled(first))[0], asyncio.CancelledError)
            assert client.budget().waiting == 1
            assert isinstance(app.clock, FakeClock)
            await app.clock.advance(AFTER_ITS_ANSWER)
            assert second.done()
        assert [asked.path for asked in app.asked] == ["/leads/0", "/leads/2"]

    async def test_ten_thousand_that_leave(self) -> None:
        app = App(WELL, clock=still())
        async with client_of(app, rate_limit=ONE) as client:
            await client.leads.get(0)
            crowd = [start(client, number) for number in range(10_000)]
            await idle()
            for task in crowd:
                task.cancel()
            await settled(*crowd)
            budget = client.budget()
            assert (budget.waiting, budget.in_flight) == (0, 0)
            assert isinstance(app.clock, FakeClock)
            await app.clock.advance(AFTER_ITS_ANSWER)
            assert client.budget().available == 1

    async def test_a_caller_between_two_attempts_leaves_at_once(self) -> None:
        app = App(Answer(500), clock=still())
        async with client_of(app) as client:
            call = start(client)
            await idle()
            assert len(app.asked) == 1
            call.cancel()
            assert isinstance((await settled(call))[0], asyncio.CancelledError)
            assert client.budget().in_flight == 0


@pytest.mark.parametrize("turns", range(12))
async def test_a_caller_cancelled_before_its_send_sends_nothing(turns: int) -> None:
    events: list[Event] = []
    app = App(WELL, clock=still())
    async with client_of(app, observers=[events.append]) as client:
        call = start_write(client)
        for _ in range(turns):
            await asyncio.sleep(0)
        was_sent = any(isinstance(event, RequestSent) for event in events)
        call.cancel()
        await settled(call)
        await idle()
        assert len(app.asked) == was_sent
        budget = client.budget()
        assert (budget.in_flight, budget.available) == (0, 60 - was_sent)


class TestWaitingForAConnection:
    async def test_a_caller_hands_its_slot_back_and_nothing_is_sent(self) -> None:
        held = Held()
        app = App(held, clock=still())
        async with client_of(app, max_connections=1) as client:
            first, second = start(client, 1), start(client, 2)
            await idle()
            assert client.budget().in_flight == 2
            second.cancel()
            await settled(second)
            await idle()
            assert client.budget().in_flight == 1
            assert client.budget().available == 59
            held.go_on.set()
            await first
        assert [asked.path for asked in app.asked] == ["/leads/1"]

    async def test_no_more_requests_than_allowed_are_on_the_wire_at_once(self) -> None:
        async def a_while(asked: Asked) -> Answer:
            await asked.clock.sleep(1.0)
            return WELL

        app = App(a_while)
        async with client_of(app, max_connections=3) as client:
            await asyncio.gather(*(client.leads.get(number) for number in range(12)))
        assert app.most_under_way == 3
        assert app.times == [float(number // 3) for number in range(12)]

    async def test_a_caller_gone_before_its_send_took_a_step_leaves_no_slot_behind(self) -> None:
        app = App(WELL, clock=still())
        async with client_of(app) as client:
            call = start(client)
            await asyncio.sleep(0)
            assert client.budget().in_flight == 1
            # As the end of an event loop does it: every task at once, before any can go on.
            own = asyncio.current_task()
            for task in asyncio.all_tasks() - {own}:
                task.cancel()
            await settled(call)
            assert client.budget().in_flight == 0
            assert client.budget().available == 60
        assert app.asked == []


class TestOnTheWire:
    async def test_the_request_goes_on_and_its_slot_starts_at_its_answer(self) -> None:
        held = Held()
        app = App(held, clock=still())
        async with client_of(app, rate_limit=ONE) as client:
            call = start(client)
            await held.arrived.wait()
            call.cancel()
            assert isinstance((await settled(call))[0], asyncio.CancelledError)
            assert client.budget().in_flight == 1
            held.go_on.set()
            await idle()
            assert client.budget().next_free_in == AFTER_ITS_ANSWER

    @pytest.mark.parametrize(
        ("answer", "outcome"),
        [
            (Answer(201, {"lead": {"id": 7}}), "the server answered 201"),
            (Answer(422, {"message": "Não."}), "UnprocessableError: → 422: Não."),
            (
                ConnectionResetError("by peer"),
                f"NoAnswerError: {BROKEN} (ReadError: by peer)",
            ),
            (
                httpx.ConnectError("refused"),
                "ConnectionFailedError: no connection to localhost (ConnectError: refused)",
            ),
            (
                Answer(429, {"message": "Devagar."}, (("retry-after", "7"),)),
                "RateLimitedError: → 429: Devagar. [asks to wait 7 s]",
            ),
            (
                Answer(302, b"", (("location", "/login"),)),
                (
                    "UnexpectedResponseError: → 302: a redirect to /login, which is not followed"
                    " because it would take the key along; check base_url and the API key"
                    " (the body: empty)"
                ),
            ),
        ],
    )
    async def test_what_became_of_a_write_is_told_and_logged(
        self, answer: Answer | Exception, outcome: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        held = Held(answer)
        seen: list[Event] = []
        async with client_of(App(held, clock=still()), observers=[seen.append]) as client:
            call = start_write(client)
            await held.arrived.wait()
            call.cancel()
            await settled(call)
            held.go_on.set()
            await idle()
        told = seen[-1]
        assert isinstance(told, CallAbandoned)
        assert (told.method, told.path) == ("POST", "/leads")
        assert told.outcome.startswith(outcome)
        assert f"POST /leads was cancelled after it was sent: {outcome}" in caplog.text

    async def test_that_no_answer_came_in_time_is_told_too(self) -> None:
        app, seen = App(never), list[Event]()
        async with client_of(app, timeout=20.0, observers=[seen.append]) as client:
            call = start_write(client)
            await app.arrived()
            call.cancel()
            await settled(call)
            await app.clock.sleep(20.0)
            await idle()
            lost = "RequestTimeoutError: no whole answer within 20 s"
            assert seen[-1] == CallAbandoned("POST", "/leads", lost)

    async def test_a_caller_that_leaves_after_a_lost_attempt_of_a_write_leaves_it_unknown(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        app, seen = App(ConnectionResetError("by peer"), clock=still()), list[Event]()
        async with client_of(app, observers=[seen.append]) as client:
            call = asyncio.ensure_future(client.leads.add_tags(7, "vip"))
            await idle()
            assert len(app.asked) == 1
            call.cancel()
            await settled(call)
        outcome = f"its outcome is unknown: NoAnswerError: {BROKEN} (ReadError: by peer)"
        assert seen[-2] == CallAbandoned("POST", "/leads/7/tags", outcome)
        assert "POST /leads/7/tags was cancelled after it was sent: its outcome" in caplog.text

    async def test_a_caller_that_leaves_after_a_refusal_leaves_nothing_to_tell(self) -> None:
        no = Answer(503, headers=(("retry-after", "9"),))
        app, seen = App(no, clock=still()), list[Event]()
        async with client_of(app, observers=[seen.append]) as client:
            call = start_write(client)
            await idle()
            assert len(app.asked) == 1
            call.cancel()
            await settled(call)
        assert not any(isinstance(event, CallAbandoned) for event in seen)

    async def test_that_of_a_read_is_not_worth_a_warning(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        held = Held()
        async with client_of(App(held, clock=still())) as client:
            call = start(client)
            await held.arrived.wait()
            call.cancel()
            await settled(call)
            held.go_on.set()
            await idle()
        assert [record for record in caplog.records if record.levelno > logging.INFO] == []

    async def test_a_request_nobody_waits_for_still_ends_with_its_time(self) -> None:
        app = App(never)
        async with client_of(app, rate_limit=ONE, timeout=20.0) as client:
            call = start(client)
            await app.arrived()
            call.cancel()
            await settled(call)
            await app.clock.sleep(20.0)
            await idle()
            assert client.budget().in_flight == 0
            assert client.budget().next_free_in == AFTER_ITS_LOSS

    async def test_a_timeout_of_the_caller_s_own_is_a_timeout(self) -> None:
        held = Held()
        async with client_of(App(held, clock=still())) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await client.leads.get(7)
            held.go_on.set()

    async def test_a_group_of_tasks_falls_as_one_and_keeps_its_error(self) -> None:
        held = Held()
        app = App(held, Answer(500, {"message": "não"}), clock=still())
        async with client_of(app, retry=at_once(1)) as client:

            async def together() -> None:
                async with asyncio.TaskGroup() as group:
                    group.create_task(client.leads.get(1))
                    group.create_task(client.leads.get(2))

            with pytest.raises(ExceptionGroup) as caught:
                await together()
            held.go_on.set()
            await idle()
            assert client.budget().in_flight == 0
        assert [type(error) for error in caught.value.exceptions] == [ServerError]


class HalfAnAnswer(httpx.AsyncBaseTransport):
    """A server that sends its headers at once and its body never."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=NeverEnding())


class NeverEnding(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()


class TestClosing:
    async def test_what_is_on_the_wire_is_followed_to_its_end(self) -> None:
        async def a_while(asked: Asked) -> Answer:
            await asked.clock.sleep(4.0)
            return WELL

        app = App(a_while)
        async with client_of(app) as client:
            call = start(client)
            await app.arrived()
        assert (await call).id == 7
        assert app.clock.monotonic() == 4.0

    async def test_after_five_seconds_a_read_is_told_that_the_client_is_closed(self) -> None:
        app = App(never)
        async with client_of(app) as client:
            call = start(client)
            await app.arrived()
            await client.aclose()
            assert app.clock.monotonic() == 5.0
            assert client.budget().in_flight == 0
            with pytest.raises(NoAnswerError, match="closed before the answer came"):
                await call
        assert len(app.asked) == 1

    async def test_a_slot_whose_answer_was_being_read_counts_from_its_headers(self) -> None:
        clock = FakeClock()
        client = AsyncClient(
            KEY, base_url=BASE_URL, clock=clock, rate_limit=ONE, transport=HalfAnAnswer()
        )
        call = start(client)
        await idle()
        await client.aclose()
        assert clock.monotonic() == 5.0
        assert client.budget().next_free_in == AFTER_ITS_ANSWER - 5.0
        with pytest.raises(NoAnswerError, match="closed before the answer came"):
            await call

    async def test_and_of_a_write_that_its_outcome_is_unknown(self) -> None:
        app = App(never)
        async with client_of(app, rate_limit=ONE) as client:
            call = start_write(client)
            await app.arrived()
            await client.aclose()
            with pytest.raises(OutcomeUnknownError, match="closed before the answer came"):
                await call
            assert client.budget().next_free_in == AFTER_ITS_LOSS

    async def test_a_write_that_still_waited_for_a_connection_was_not_sent(self) -> None:
        app = App(never)
        async with client_of(app, max_connections=1) as client:
            first, second = start_write(client), start_write(client)
            await app.arrived()
            await client.aclose()
            with pytest.raises(OutcomeUnknownError):
                await first
            with pytest.raises(ConfigurationError, match="closed before the request was sent"):
                await second
            assert client.budget().in_flight == 0
        assert len(app.asked) == 1

    async def test_the_outcome_of_an_abandoned_write_is_called_unknown(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = App(never)
        async with client_of(app) as client:
            call = start_write(client)
            await app.arrived()
            call.cancel()
            await settled(call)
            await client.aclose()
            await idle()
        assert "POST /leads was cancelled after it was sent: its outcome is unknown" in caplog.text

    async def test_an_abandoned_write_that_is_answered_meanwhile_is_told(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def a_while(asked: Asked) -> Answer:
            await asked.clock.sleep(4.0)
            return Answer(201, {"lead": {"id": 7}})

        app = App(a_while)
        async with client_of(app) as client:
            call = start_write(client)
            await app.arrived()
            call.cancel()
            await settled(call)
        assert "POST /leads was cancelled after it was sent: the server answered 201" in caplog.text

    def test_an_event_loop_that_ends_over_a_write_leaves_its_outcome_unknown(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = App(never, clock=still())
        client = AsyncClient(
            KEY, base_url=BASE_URL, clock=app.clock, transport=in_process_transport(app)
        )
        calls: list[asyncio.Task[Any]] = []

        async def leave() -> None:
            calls.append(start_write(client))
            await app.arrived()

        asyncio.run(leave())
        asyncio.run(client.aclose())
        assert calls[0].cancelled()
        assert "POST /leads was cancelled after it was sent: its outcome is unknown" in caplog.text

    async def test_a_call_still_in_the_queue_is_told_at_once(self) -> None:
        app = App(WELL, clock=still())
        async with client_of(app, rate_limit=ONE) as client:
            await client.leads.get(1)
            call = start(client, 2)
            await idle()
            await client.aclose()
            with pytest.raises(ConfigurationError, match="closed before the request was sent"):
                await call
            assert client.budget().waiting == 0
        assert len(app.asked) == 1

    async def test_a_call_cancelled_in_the_queue_while_the_client_closes_stays_cancelled(
        self,
    ) -> None:
        app = App(WELL, clock=still())
        async with client_of(app, rate_limit=ONE) as client:
            await client.leads.get(1)
            call = start(client, 2)
            await idle()
            closing = asyncio.ensure_future(client.aclose())
            await asyncio.sleep(0)
            call.cancel()
            await closing
            with pytest.raises(asyncio.CancelledError):
                await call

    async def test_a_caller_that_outlived_an_earlier_cancellation_is_told_as_well(self) -> None:
        app = App(WELL, clock=still())
        async with client_of(app, rate_limit=ONE) as client:
            await client.leads.get(1)

            async def stubborn() -> None:
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
                await client.leads.get(2)

            call = asyncio.ensure_future(stubborn())
            await idle()
            call.cancel()
            await idle()
            await client.aclose()
            with pytest.raises(ConfigurationError, match="closed before the request was sent"):
                await call

    async def test_a_call_between_two_attempts_says_what_went_wrong_before(self) -> None:
        app = App(Answer(500, {"message": "no"}), clock=still())
        async with client_of(app) as client:
            call = start(client)
            await idle()
        assert isinstance(app.clock, FakeClock)
        await app.clock.advance(1.0)
        with pytest.raises(ServerError, match="no"):
            await call

    async def test_a_call_on_a_closed_client_does_not_stand_in_the_queue_first(self) -> None:
        app = App(WELL, clock=still())
        async with client_of(app, rate_limit=ONE) as client:
            await client.leads.get(1)
        with pytest.raises(ConfigurationError, match="closed; make a new one"):
            await client.leads.get(2)

    async def test_closing_before_the_send_took_a_step_leaves_no_slot_behind(self) -> None:
        app = App(WELL, clock=still())
        async with client_of(app) as client:
            call = start(client)
            await asyncio.sleep(0)
            assert client.budget().in_flight == 1
            (send,) = asyncio.all_tasks() - {asyncio.current_task(), call}
            send.cancel()
            with pytest.raises(ConfigurationError, match="before the request was sent"):
                await call
            assert client.budget().available == 60

    async def test_closing_twice_or_never_having_opened_is_harmless(self) -> None:
        client = AsyncClient(KEY, base_url=BASE_URL)
        await client.aclose()
        await client.aclose()
        async with AsyncClient(KEY, base_url=BASE_URL):
            pass

    async def test_a_closing_that_is_itself_cut_short_can_be_begun_again(self) -> None:
        held = Held()
        app = App(held, clock=still())
        async with client_of(app) as client:
            call = start(client)
            await held.arrived.wait()
            closing = asyncio.ensure_future(client.aclose())
            await idle()
            closing.cancel()
            await settled(closing)
            assert not call.done()
            held.go_on.set()
            assert (await call).id == 7

    async def test_a_view_closes_nothing(self) -> None:
        app = App(WELL)
        async with client_of(app) as client:
            async with client.with_options(lane="bulk") as view:
                await view.leads.get(7)
            assert (await client.leads.get(7)).id == 7
        with pytest.raises(ConfigurationError):
            await view.leads.get(7)

    async def test_nothing_is_left_running(self) -> None:
        before = asyncio.all_tasks()
        async with client_of(App(httpx.ConnectError("no"), WELL)) as client:
            await asyncio.gather(*(client.leads.get(number) for number in range(30)))
        await idle()
        assert asyncio.all_tasks() == before

    async def test_several_limits_are_all_given_back(self) -> None:
        rates = [RateLimit(5, 1.0), RateLimit(9, 10.0)]
        held = Held(httpx.ConnectError("no"))
        async with client_of(App(held, clock=still()), rate_limit=rates) as client:
            call = start(client)
            await held.arrived.wait()
            call.cancel()
            await settled(call)
            held.go_on.set()
            await idle()
            assert client.budget().available == 5
