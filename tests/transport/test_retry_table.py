"""Which calls are sent again after which fault, counted at the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpcore
import httpx
import pytest

from syncro_async import AsyncClient, RetryPolicy
from syncro_async.dialects import SYNCRO
from syncro_async.errors import (
    APIError,
    BudgetWaitError,
    NoAnswerError,
    NotFoundError,
    OutcomeUnknownError,
    ProviderError,
    RequestTimeoutError,
    ServerError,
    ServiceUnavailableError,
    UnexpectedResponseError,
)
from tests.transport.scripted_app import ONE, Answer, App, Step, at_once, client_of, never

WELL = Answer(
    body={
        "success": True,
        "created": True,
        "lead": {"id": 1},
        "tags": ["vip"],
        "lead_id": 1,
        "sequence_id": 2,
        "status": "active",
        "conversation_id": 3,
        "message_id": 4,
    }
)

REPEATABLE: dict[str, Callable[[AsyncClient], Awaitable[object]]] = {
    "get": lambda client: client.leads.get(1),
    "first of a list": lambda client: client.request("GET", "/leads"),
    "upsert": lambda client: client.leads.upsert(phone="+55119"),
    "add tags": lambda client: client.leads.add_tags(1, ["vip"]),
    "remove tag": lambda client: client.leads.remove_tag(1, "vip"),
    "move": lambda client: client.leads.move(1, stage_id=2, pipeline_id=3),
    "won": lambda client: client.leads.mark_won(1, stage_id=2),
    "lost": lambda client: client.leads.mark_lost(1, stage_id=2),
    "delete": lambda client: client.leads.delete(1),
    "unenroll": lambda client: client.leads.unenroll(1, sequence_id=2),
    "PUT by hand": lambda client: client.request("put", "/leads/1", json={"name": "Ana"}),
    "DELETE by hand": lambda client: client.request("DELETE", "/leads/1"),
}
ONCE_ONLY: dict[str, Callable[[AsyncClient], Awaitable[object]]] = {
    "create": lambda client: client.leads.create(name="Ana", pipeline_id=1, stage_id=2),
    "enroll": lambda client: client.leads.enroll(1, sequence_id=2),
    "send_whatsapp": lambda client: client.leads.send_whatsapp(1, body="Olá"),
    "send_template": lambda client: client.leads.send_template(1, template_id=2),
    "POST by hand": lambda client: client.request("POST", "/tasks", json={"subject": "x"}),
    "PATCH by hand": lambda client: client.request("PATCH", "/leads/1", json={"name": "x"}),
}
ALL = REPEATABLE | ONCE_ONLY


LOST = pytest.mark.parametrize(
    "fault", [never, ConnectionResetError("by peer")], ids=["late", "reset"]
)


@pytest.mark.parametrize("name", ALL)
async def test_a_connection_that_was_never_made_is_tried_again_by_every_call(name: str) -> None:
    refused = httpx.ConnectError("[Errno 111] Connection refused")
    app = App(refused, refused, refused, WELL)
    async with client_of(app, retry=at_once()) as client:
        await ALL[name](client)
    assert len(app.asked) == 4


@pytest.mark.parametrize("name", ALL)
async def test_a_429_is_waited_for_by_every_call_and_charges_no_attempt(name: str) -> None:
    refused = Answer(429, {"message": "Rate limit", "retry_after": 7})
    app = App(*[refused] * 9, WELL)
    async with client_of(app, retry=RetryPolicy(attempts=1)) as client:
        await ALL[name](client)
    assert app.times == [8.0 * n for n in range(10)]


LATER = Answer(503, {"message": "Manutenção"}, (("retry-after", "40"),))


@pytest.mark.parametrize("name", REPEATABLE)
async def test_a_503_that_names_a_time_is_waited_for_by_repeatable_calls(name: str) -> None:
    app = App(LATER, LATER, WELL)
    async with client_of(app) as client:
        await REPEATABLE[name](client)
    assert app.times == [0.0, 40.0, 80.0]


@pytest.mark.parametrize("name", ONCE_ONLY)
async def test_a_503_that_names_a_time_does_not_send_any_other_write_again(name: str) -> None:
    app = App(LATER, WELL)
    async with client_of(app) as client:
        with pytest.raises(ServiceUnavailableError) as caught:
            await ONCE_ONLY[name](client)
    assert (caught.value.retry_after, caught.value.attempts, len(app.asked)) == (40.0, 1, 1)


@pytest.mark.parametrize("name", ALL)
async def test_a_code_of_the_dialect_proves_that_nothing_was_processed(name: str) -> None:
    dialect = replace(SYNCRO, not_processed=frozenset({"NOT_YET"}))
    refused = Answer(503, {"code": "NOT_YET"}, (("retry-after", "40"),))
    app = App(refused, WELL)
    async with client_of(app, dialect=dialect) as client:
        await ALL[name](client)
    assert app.times == [0.0, 40.0]


@pytest.mark.parametrize("status", [500, 502, 504, 520])
async def test_a_server_error_that_names_a_time_is_waited_for_at_least_that_long(
    status: int,
) -> None:
    app = App(Answer(status, b"", (("retry-after", "40"),)), WELL)
    async with client_of(app) as client:
        await client.leads.get(1)
    assert app.times == [0.0, 40.0]


@pytest.mark.parametrize("name", REPEATABLE)
async def test_a_408_is_tried_again_where_that_does_no_harm(name: str) -> None:
    app = App(Answer(408), WELL)
    async with client_of(app, retry=at_once()) as client:
        await REPEATABLE[name](client)
    assert len(app.asked) == 2


@pytest.mark.parametrize("name", ONCE_ONLY)
async def test_a_write_that_a_408_answers_has_an_unknown_outcome(name: str) -> None:
    app = App(Answer(408), WELL)
    async with client_of(app, retry=at_once()) as client:
        with pytest.raises(OutcomeUnknownError) as caught:
            await ONCE_ONLY[name](client)
    assert isinstance(caught.value.__cause__, APIError)
    assert len(app.asked) == 1


class _AnswersEarly(httpx.AsyncBaseTransport):
    """Gets a 408 while it sends the first body, and reports its progress as httpcore does."""

    def __init__(self) -> None:
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        trace = request.extensions["trace"]
        about = {"request": httpcore.Request(request.method, str(request.url))}
        for step in ("headers.started", "headers.complete", "body.started"):
            await trace(f"http11.send_request_{step}", about)
        if self.requests == 1:
            return httpx.Response(408)
        await trace("http11.send_request_body.complete", about)
        return httpx.Response(200 if self.requests == 2 else 408, json={"success": True})


async def test_a_write_whose_body_was_not_completely_sent_goes_again_after_a_408() -> None:
    transport = _AnswersEarly()
    async with AsyncClient("key", transport=transport, retry=at_once()) as client:
        await client.request("POST", "/tasks", json={"subject": "x"})
        assert transport.requests == 2
        with pytest.raises(OutcomeUnknownError):
            await client.request("POST", "/tasks", json={"subject": "x"})
        assert transport.requests == 3


@pytest.mark.parametrize("name", ALL)
async def test_a_425_is_tried_again_by_every_call(name: str) -> None:
    app = App(Answer(425), WELL)
    async with client_of(app, retry=at_once()) as client:
        await ALL[name](client)
    assert len(app.asked) == 2


@pytest.mark.parametrize("name", REPEATABLE)
@LOST
async def test_a_lost_answer_is_asked_for_again_where_that_does_no_harm(
    name: str, fault: Step
) -> None:
    app = App(fault, fault, WELL)
    async with client_of(app, retry=at_once()) as client:
        await REPEATABLE[name](client)
    assert len(app.asked) == 3


@pytest.mark.parametrize("name", ONCE_ONLY)
@LOST
async def test_a_write_whose_answer_is_lost_is_sent_once_and_its_outcome_called_unknown(
    name: str, fault: Step
) -> None:
    app = App(fault, WELL)
    async with client_of(app, retry=at_once()) as client:
        with pytest.raises(OutcomeUnknownError, match="look at the server") as caught:
            await ONCE_ONLY[name](client)
    assert len(app.asked) == 1
    assert caught.value.attempts == 1
    assert isinstance(caught.value.__cause__, NoAnswerError)


@pytest.mark.parametrize("status", [500, 502, 503, 504, *range(520, 528)])
@pytest.mark.parametrize("body", [{"message": "no"}, b"<html>Bad gateway</html>", b""])
async def test_a_passing_server_error_is_tried_again_by_a_read(status: int, body: object) -> None:
    app = App(Answer(status, body), Answer(status, body), WELL)
    async with client_of(app) as client:
        assert (await client.leads.get(1)).id == 1
    assert len(app.asked) == 3


@pytest.mark.parametrize("name", REPEATABLE)
async def test_every_repeatable_call_is_tried_again_after_a_500(name: str) -> None:
    app = App(Answer(500), WELL)
    async with client_of(app) as client:
        await REPEATABLE[name](client)
    assert len(app.asked) == 2


@pytest.mark.parametrize("name", ONCE_ONLY)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 522])
async def test_a_write_that_a_server_error_answers_is_sent_once(name: str, status: int) -> None:
    app = App(Answer(status, {"message": "no"}), WELL)
    async with client_of(app) as client:
        with pytest.raises(ServerError) as caught:
            await ONCE_ONLY[name](client)
    assert caught.value.status == status
    assert len(app.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 418, 422, 451, 501, 505])
@pytest.mark.parametrize("name", ["get", "create"])
async def test_any_other_no_is_final(status: int, name: str) -> None:
    app = App(Answer(status, {"message": "não"}), WELL)
    async with client_of(app) as client:
        with pytest.raises(APIError, match=f"→ {status}: não") as caught:
            await ALL[name](client)
    assert (caught.value.status, caught.value.attempts) == (status, 1)
    assert len(app.asked) == 1


@pytest.mark.parametrize("name", ["get", "create"])
@pytest.mark.parametrize(
    "odd",
    [Answer(200, b"{"), Answer(302, b"", (("location", "/login"),)), Answer(200, b"<html>")],
    ids=["cut short", "redirect", "HTML"],
)
async def test_an_answer_that_cannot_be_read_is_final(name: str, odd: Answer) -> None:
    app = App(odd, WELL)
    async with client_of(app) as client:
        with pytest.raises(UnexpectedResponseError) as caught:
            await ALL[name](client)
    assert (caught.value.status, caught.value.attempts) == (odd.status, 1)
    assert len(app.asked) == 1


async def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    app = App(Answer(500, {"message": "one"}), ConnectionResetError("two"), Answer(504, b"three"))
    async with client_of(app, retry=RetryPolicy(attempts=3)) as client:
        with pytest.raises(ServerError) as caught:
            await client.leads.get(7)
    assert str(caught.value) == "GET /leads/7 → 504: three (3 attempts)"
    assert len(app.asked) == 3


async def test_a_read_that_is_never_answered_in_time_ends_as_a_timeout() -> None:
    app = App(never)
    async with client_of(app, retry=at_once(), timeout=2.0) as client:
        with pytest.raises(RequestTimeoutError, match=r"2 s \(4 attempts\)") as caught:
            await client.leads.get(7)
    assert isinstance(caught.value, TimeoutError)
    assert app.times == [0.0, 2.0, 4.0, 6.0]


async def test_between_two_attempts_the_wait_doubles_up_to_its_cap() -> None:
    app = App(Answer(500))
    policy = RetryPolicy(attempts=6, base_delay=1.0, max_delay=4.0, random=lambda: 0.5)
    async with client_of(app, retry=policy) as client:
        with pytest.raises(ServerError):
            await client.leads.get(1)
    assert app.times == [0.0, 0.5, 1.5, 3.5, 5.5, 7.5]


async def test_no_wait_is_begun_that_max_elapsed_does_not_hold() -> None:
    app = App(Answer(503, b"", (("retry-after", "40"),)))
    async with client_of(app, retry=RetryPolicy(max_elapsed=100.0)) as client:
        with pytest.raises(ServiceUnavailableError) as caught:
            await client.leads.get(1)
    assert app.times == [0.0, 40.0, 80.0]
    assert caught.value.retry_after == 40.0


async def test_max_elapsed_runs_from_the_first_send_and_not_from_the_queue() -> None:
    app = App(WELL, Answer(500), WELL)
    policy = RetryPolicy(max_elapsed=61.0, random=lambda: 0.0)
    async with client_of(app, rate_limit=ONE, retry=policy) as client:
        await client.leads.get(1)
        await client.leads.get(2)
    assert app.times == [0.0, 60.25, 120.5]


async def test_an_attempt_the_budget_cannot_give_in_time_leaves_the_earlier_error() -> None:
    app = App(Answer(500, {"message": "o primeiro"}), WELL)
    policy = RetryPolicy(max_elapsed=60.0)
    async with client_of(app, rate_limit=ONE, retry=policy) as client:
        with pytest.raises(ServerError, match="o primeiro") as caught:
            await client.leads.get(1)
        assert client.budget().waiting == 0
    assert caught.value.attempts == 1
    assert len(app.asked) == 1


async def test_without_an_earlier_error_the_budget_s_own_is_raised() -> None:
    app = App(WELL)
    async with client_of(app, rate_limit=ONE, max_wait=60.0) as client:
        await client.leads.get(1)
        with pytest.raises(BudgetWaitError, match=r"GET /leads/2: .*60\.2 s") as caught:
            await client.leads.get(2)
    assert (caught.value.attempts, caught.value.wait_needed) == (0, 60.25)
    assert len(app.asked) == 1


async def test_max_wait_bounds_the_queue_of_every_attempt() -> None:
    app = App(Answer(500, {"message": "um"}), WELL)
    policy = RetryPolicy(random=lambda: 0.0)
    async with client_of(app, rate_limit=ONE, retry=policy, max_wait=60.0) as client:
        with pytest.raises(ServerError, match="um"):
            await client.leads.get(1)
        await client.with_options(max_wait=61.0).leads.get(1)
    assert app.times == [0.0, 60.25]


class TestDelete:
    async def test_a_404_after_a_lost_attempt_means_that_it_did_the_work(self) -> None:
        app = App(ConnectionResetError(), Answer(404, {"message": "Lead não encontrado."}))
        async with client_of(app, retry=at_once()) as client:
            await client.leads.delete(1)
        assert [asked.method for asked in app.asked] == ["DELETE", "DELETE"]

    async def test_so_it_does_after_a_500(self) -> None:
        app = App(Answer(500), Answer(503), Answer(404))
        async with client_of(app, retry=at_once()) as client:
            await client.leads.delete(1)
        assert len(app.asked) == 3

    @pytest.mark.parametrize(
        "before",
        [httpx.ConnectError("refused"), Answer(425), Answer(429)],
        ids=["never sent", "425", "429"],
    )
    async def test_a_404_after_an_attempt_that_did_nothing_is_an_error(
        self, before: Answer | Exception
    ) -> None:
        app = App(before, Answer(404, {"message": "Lead não encontrado."}))
        async with client_of(app, retry=at_once()) as client:
            with pytest.raises(NotFoundError) as caught:
                await client.leads.delete(1)
        assert caught.value.attempts == 2

    async def test_a_first_404_is_an_error(self) -> None:
        async with client_of(App(Answer(404))) as client:
            with pytest.raises(NotFoundError, match="Not Found"):
                await client.leads.delete(1)

    @pytest.mark.parametrize("name", ["get", "remove tag", "DELETE by hand"])
    async def test_calls_that_return_something_raise_it_also_after_a_lost_attempt(
        self, name: str
    ) -> None:
        app = App(ConnectionResetError(), Answer(404))
        async with client_of(app, retry=at_once()) as client:
            with pytest.raises(NotFoundError):
                await REPEATABLE[name](client)
        assert len(app.asked) == 2


async def test_the_provider_s_refusal_of_a_message_is_not_sent_again() -> None:
    app = App(Answer(502, {"success": False, "message": "Falha no envio.", "raw": {"code": 131}}))
    async with client_of(app) as client:
        with pytest.raises(ProviderError, match="Falha no envio") as caught:
            await client.leads.send_whatsapp(1, body="Olá")
    assert caught.value.raw == {"code": 131}
    assert len(app.asked) == 1


async def test_an_open_circuit_without_a_time_is_a_503_like_any_other_for_syncro() -> None:
    app = App(Answer(503, {"code": "CIRCUIT_OPEN", "message": "aberto"}), WELL)
    async with client_of(app, retry=at_once()) as client:
        await client.leads.get(1)
    assert len(app.asked) == 2


async def test_every_attempt_takes_a_slot_of_its_own() -> None:
    app = App(Answer(500), ConnectionResetError(), Answer(502), WELL)
    async with client_of(app, retry=at_once()) as client:
        await client.leads.get(1)
        assert client.budget().available == 56
