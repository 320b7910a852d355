"""What a service's callers get to see of a call that failed: a table, and a test for each row."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pytest
from fastapi import FastAPI, WebSocket

from syncro_async import AsyncClient, RateLimit, RetryPolicy, errors
from syncro_async.errors import (
    AccountSuspendedError,
    APIError,
    AuthenticationError,
    BadRequestError,
    BudgetWaitError,
    CircuitOpenError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    MessagingWindowClosedError,
    NoAnswerError,
    NotFoundError,
    OutcomeUnknownError,
    PendingTask,
    PermissionDeniedError,
    PlanLimitError,
    ProviderAuthenticationError,
    ProviderError,
    ProviderRateLimitedError,
    RateLimitedError,
    ReauthenticationRequiredError,
    RequestTimeoutError,
    ServerError,
    ServiceUnavailableError,
    StageBlockedError,
    SyncroError,
    UnexpectedResponseError,
    UnprocessableError,
    ValidationError,
)
from syncro_async.integrations.error_responses import ERROR_TEXTS, error_response
from syncro_async.integrations.fastapi import SyncroDep, add_error_handlers, syncro_lifespan
from syncro_async.sandbox import EXPIRED_KEY, Sandbox, Trouble
from syncro_async.testing.fake_clock import FakeClock
from tests.integrations.serving_app import bound_to, running

Syncro = Annotated[AsyncClient, SyncroDep]

Said = TypeVar("Said", bound=APIError)

# What the API said, of which nobody outside may read a word.
WORDS = "their own words"
BODY = {"message": WORDS, "trace": "/srv/api/app/Http/Kernel.php"}


def said(kind: type[Said], status: int, **more: Any) -> Said:
    return kind(WORDS, status=status, body=BODY, code="THEIR_CODE", **more)


def limited(kind: type[RateLimitedError], asked: float | None, pause: float) -> RateLimitedError:
    error = kind(WORDS, status=429, retry_after=asked)
    error.pause = pause
    return error


TASK = PendingTask(3, "Call back", "call")
ODD = UnexpectedResponseError(WORDS, status=200, content_type="text/html", excerpt=WORDS)

CASES: list[tuple[SyncroError, int, str, str | None]] = [
    (BudgetWaitError(WORDS, wait_needed=12.3), 503, "busy", "13"),
    (BudgetWaitError(WORDS, wait_needed=0.0), 503, "busy", "1"),
    (limited(RateLimitedError, 30.0, 31.0), 503, "busy", "31"),
    (limited(RateLimitedError, None, 0.0), 503, "busy", "1"),
    (limited(ProviderRateLimitedError, 7.5, 0.0), 503, "busy", "8"),
    (said(ServiceUnavailableError, 503, retry_after=20.0), 503, "upstream_unavailable", "20"),
    (said(ServiceUnavailableError, 503), 503, "upstream_unavailable", None),
    (said(CircuitOpenError, 503, retry_after=0.2), 503, "upstream_unavailable", "1"),
    (said(NotFoundError, 404), 404, "not_found", None),
    (said(ConflictError, 409), 409, "conflict", None),
    (said(BadRequestError, 400), 400, "bad_request", None),
    (said(ValidationError, 400, errors={"email": ["Taken."]}), 422, "invalid", None),
    (said(ValidationError, 422, errors={"email": ["Taken."]}), 422, "invalid", None),
    (said(StageBlockedError, 422, pending_tasks=(TASK,)), 422, "stage_blocked", None),
    (said(PlanLimitError, 422), 422, "plan_limit", None),
    (said(MessagingWindowClosedError, 422), 422, "messaging_window_closed", None),
    (said(UnprocessableError, 422), 422, "refused", None),
    (said(AuthenticationError, 401), 502, "upstream_access", None),
    (said(PermissionDeniedError, 403), 502, "upstream_access", None),
    (said(AccountSuspendedError, 403), 502, "upstream_access", None),
    (said(ReauthenticationRequiredError, 403), 502, "provider_disconnected", None),
    (said(ProviderAuthenticationError, 502), 502, "provider_disconnected", None),
    (said(ProviderError, 502, raw=BODY), 502, "provider_failed", None),
    (said(ServerError, 500), 502, "upstream_failed", None),
    (said(APIError, 418), 502, "upstream_failed", None),
    (ODD, 502, "upstream_failed", None),
    (ConnectionFailedError(WORDS), 502, "upstream_unreachable", None),
    (NoAnswerError(WORDS), 502, "upstream_unreachable", None),
    (OutcomeUnknownError(WORDS), 502, "outcome_unknown", None),
    (RequestTimeoutError(WORDS), 504, "upstream_timeout", None),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "wait"), CASES, ids=[type(case[0]).__name__ for case in CASES]
)
def test_each_error_has_its_answer_in_words_of_our_own(
    error: SyncroError, status: int, code: str, wait: str | None
) -> None:
    answer = error_response(error)
    told = answer.body["error"]
    assert (answer.status, told["code"], answer.headers.get("Retry-After")) == (status, code, wait)
    assert told["message"].endswith(".")
    assert WORDS not in repr(answer)
    assert "Kernel.php" not in repr(answer)
    assert "THEIR_CODE" not in repr(answer)


def test_no_error_of_a_call_is_without_a_case() -> None:
    kinds = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, BudgetWaitError | NoAnswerError | APIError)
    }
    assert {type(case[0]) for case in CASES} == kinds


def test_the_printed_table_names_each_error_with_its_status_and_code() -> None:
    printed = (Path(__file__).parents[2] / "docs" / "fastapi.md").read_text(encoding="utf-8")
    rows = [line for line in printed.splitlines() if line.startswith("| `")]
    for kind, (status, code, _) in ERROR_TEXTS.items():
        (row,) = [row for row in rows if f"`{kind.__name__}`" in row]
        assert f"| {status}" in row
        assert f"`{code}`" in row


def test_fields_and_tasks_are_what_a_caller_can_do_something_about() -> None:
    invalid = said(ValidationError, 422, errors={"email": ["Taken."], "phone": ["Too short."]})
    assert error_response(invalid).body["error"]["fields"] == invalid.errors
    blocked = said(StageBlockedError, 422, pending_tasks=(TASK,))
    assert error_response(blocked).body["error"]["pending_tasks"] == [
        {"id": 3, "subject": "Call back", "type": "call"}
    ]


def test_who_does_not_know_whether_the_change_was_made_is_told_so() -> None:
    assert (
        "may have been made" in error_response(OutcomeUnknownError(WORDS)).body["error"]["message"]
    )


def test_a_fault_of_the_program_is_no_answer() -> None:
    with pytest.raises(LookupError):
        error_response(ConfigurationError("wrong"))


def service(sandbox: Sandbox, clock: FakeClock, **options: Any) -> FastAPI:
    app = FastAPI(lifespan=syncro_lifespan(**bound_to(sandbox, clock, **options)))
    add_error_handlers(app)

    @app.get("/leads/{lead_id}")
    async def read(lead_id: int, syncro: Syncro) -> int:
        return (await syncro.leads.get(lead_id)).id

    @app.post("/leads")
    async def create(syncro: Syncro, pipeline_id: int = 1) -> int:
        return (await syncro.leads.create(name="A", pipeline_id=pipeline_id, stage_id=4)).id

    @app.websocket("/leads/{lead_id}/watched")
    async def watch(lead_id: int, socket: WebSocket, syncro: Syncro) -> None:
        await socket.accept()
        await socket.send_json((await syncro.leads.get(lead_id)).id)
        try:
            await syncro.leads.get(lead_id)
        finally:
            await socket.close(reason="seen")

    @app.get("/closed")
    async def closed(syncro: Syncro) -> None:
        await syncro.aclose()
        await syncro.leads.get(1)

    return app


async def test_at_the_wire_a_full_queue_is_a_503_that_says_when_to_come_back() -> None:
    clock = FakeClock(autojump=False)
    app = service(Sandbox(clock=clock), clock, rate_limit=RateLimit(1, 60.0), max_wait=5.0)
    async with running(app) as web:
        assert (await web.get("/leads/1")).json() == 1
        await clock.advance(19.5)
        answer = await web.get("/leads/1")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "41")  # 60.25 s − 19.5 s
    assert answer.json()["error"]["code"] == "busy"


async def test_at_the_wire_what_is_missing_is_a_404_and_wrong_data_a_422_with_fields() -> None:
    clock = FakeClock()
    async with running(service(Sandbox(clock=clock), clock)) as web:
        missing = await web.get("/leads/4711")
        wrong = await web.post("/leads", params={"pipeline_id": 999})
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert wrong.status_code == 422
    assert [*wrong.json()["error"]["fields"]] == ["pipeline_id"]


async def test_at_the_wire_a_value_that_the_client_refuses_is_a_422_with_its_field() -> None:
    clock = FakeClock()
    sandbox = Sandbox(clock=clock)
    app = service(sandbox, clock)

    @app.get("/tagged")
    async def tagged(syncro: Syncro, tag: str) -> int:
        return len(await syncro.leads.list(tags=["vip", tag]).collect())

    @app.get("/created")
    async def created(syncro: Syncro) -> None:
        body: dict[str, Any] = {"name": "Ana", "pipeline_id": 1, "stage_id": 4, "nome": "Ana"}
        await syncro.leads.create(**body)

    async with running(app) as web:
        blank = await web.get("/tagged", params={"tag": " "})
        unknown = await web.get("/created")
    for answer, field in ((blank, "tags[1]"), (unknown, "nome")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_argument")
        ((name, messages),) = answer.json()["error"]["fields"].items()
        assert name == field
        assert field in messages[0]
    assert sandbox.arrivals == []


async def test_at_the_wire_our_own_key_is_never_the_callers_trouble(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    app = service(Sandbox(clock=clock), clock, api_key=EXPIRED_KEY)
    with caplog.at_level(logging.WARNING, "syncro_async.fastapi"):
        async with running(app) as web:
            answer = await web.get("/leads/1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_access")
    # Its operator reads what happened, in the API's words.
    assert "GET /leads/1 answers 502: GET /leads/1 → 401: API Key expirada." in caplog.text
    assert EXPIRED_KEY not in caplog.text + answer.text


async def test_at_the_wire_a_lost_answer_to_a_write_is_told_and_the_write_not_repeated() -> None:
    clock = FakeClock()
    sandbox = Sandbox(clock=clock)
    sandbox.script(Trouble(method="POST", lose_answer=True))
    async with running(service(sandbox, clock)) as web:
        answer = await web.post("/leads")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "outcome_unknown")
    assert len(sandbox.writes) == 1


async def test_at_the_wire_an_upstream_failure_shows_nothing_of_its_page() -> None:
    clock = FakeClock()
    sandbox = Sandbox(clock=clock)
    sandbox.script(Trouble(status=500, body=b"<h1>Kernel.php</h1>", times=4))
    async with running(service(sandbox, clock)) as web:
        answer = await web.get("/leads/1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
    assert "Kernel" not in answer.text


async def test_at_the_wire_a_programs_own_fault_stays_a_500() -> None:
    clock = FakeClock()
    async with running(service(Sandbox(clock=clock), clock)) as web:
        answer = await web.get("/closed")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


async def said_on_a_websocket(app: FastAPI, path: str) -> list[dict[str, Any]]:
    """What an application sends on a WebSocket, message by message."""
    scope = {"type": "websocket", "path": path, "headers": [], "query_string": b""}
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        said.append(message)

    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    return said


@pytest.mark.parametrize(
    ("trouble", "code", "reason", "logged"),
    [
        (Trouble(status=404), 1011, "not_found", ""),
        (Trouble(status=503), 1013, "upstream_unavailable", "WebSocket /leads/1/watched answers"),
    ],
)
async def test_a_websocket_is_closed_with_the_code_as_the_reason(
    caplog: pytest.LogCaptureFixture, trouble: Trouble, code: int, reason: str, logged: str
) -> None:
    clock = FakeClock()
    sandbox = Sandbox(clock=clock)
    sandbox.script(trouble)
    app = service(sandbox, clock, retry=RetryPolicy(attempts=1))
    accepted, closed = await said_on_a_websocket(app, "/leads/1/watched")
    assert accepted["type"] == "websocket.accept"
    assert closed == {"type": "websocket.close", "code": code, "reason": reason}
    assert logged in caplog.text


async def test_one_that_its_handler_has_closed_is_left_at_that() -> None:
    clock = FakeClock()
    app = service(Sandbox(clock=clock), clock, rate_limit=RateLimit(1, 60.0), max_wait=5.0)
    _, answered, closed = await said_on_a_websocket(app, "/leads/1/watched")
    assert (answered["type"], answered["text"]) == ("websocket.send", "1")
    assert closed == {"type": "websocket.close", "code": 1000, "reason": "seen"}
