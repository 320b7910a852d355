"""The key is in no text, no pickle, no log and no frame of an error."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from types import CellType, FrameType, MethodType, ModuleType
from typing import Any

import httpx
import pytest

from syncro_async import AsyncClient, RateLimit
from syncro_async.dialects import SYNCRO
from syncro_async.errors import (
    AccountSuspendedError,
    APIError,
    AuthenticationError,
    BadRequestError,
    BadRowsError,
    BudgetWaitError,
    CircuitOpenError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    ImportStoppedError,
    InvalidArgumentError,
    MessagingWindowClosedError,
    MissingResourceError,
    NoAnswerError,
    NotFoundError,
    OutcomeUnknownError,
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
    UnknownArgumentError,
    UnprocessableError,
    ValidationError,
)
from syncro_async.events import Event
from syncro_async.transport.redaction import ApiKey
from tests.transport.scripted_app import BASE_URL, KEY, Answer, App, at_once, client_of, never
from tests.transport.scripted_server import Connection, ScriptedServer, answers, drops, http

HTML = (("content-type", "text/html"),)
ECHO = f'{{"message": "no such key: {KEY}", "errors": {{"key": ["{KEY}"]}}}}'.encode()

ANSWERS: dict[str, Answer | Exception | Callable[..., Awaitable[Answer]]] = {
    "401 that echoes it": Answer(401, ECHO),
    "422 that echoes it": Answer(422, ECHO),
    "500 in HTML that echoes it": Answer(500, b"<p>" + KEY.encode() + b"</p>", HTML),
    "429 that echoes it": Answer(429, ECHO),
    "success: false that echoes it": Answer(200, ECHO.replace(b"{", b'{"success": false, ', 1)),
    "HTML under 200 that echoes it": Answer(200, b"<p>" + KEY.encode(), HTML),
    "a content type that echoes it": Answer(200, b"<p>", (("content-type", f"x/{KEY}"),)),
    "a redirect that takes it along": Answer(302, b"", (("location", f"/{KEY}?k={KEY}"),)),
    "a redirect to nowhere": Answer(302, b"", (("location", f"http://[{KEY}"),)),
    "a wrong shape": Answer(200, {"lead": KEY}),
    "timeout": never,
    "reset": ConnectionResetError("by peer"),
    "a failure that tells the request": httpx.ReadError(f"X-API-Key: {KEY}"),
    "refused": httpx.ConnectError("refused"),
    "a bug of the transport's": RuntimeError(f"headers were x-api-key={KEY}"),
}


def links(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes and contexts."""
    seen: list[BaseException] = []
    ahead: list[BaseException | None] = [error]
    while ahead:
        link = ahead.pop()
        if link is not None and link not in seen:
            seen.append(link)
            ahead += [link.__cause__, link.__context__]
            yield link


def frames(error: BaseException) -> Iterator[FrameType]:
    """Every frame that an error's traceback holds, but those of this test."""
    for link in links(error):
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if frame.f_code.co_filename != __file__:
                yield frame


def shown_by(error: BaseException) -> str:
    """All that a report of the error could show."""
    texts = ["".join(traceback.format_exception(error))]
    for link in links(error):
        texts += [str(link), repr(link), repr(link.args), repr(vars(link))]
        steps = [
            (frame, line)
            for frame, line in traceback.walk_tb(link.__traceback__)
            if frame.f_code.co_filename != __file__
        ]
        texts += traceback.StackSummary.extract(steps, capture_locals=True).format()
    for frame in frames(error):
        texts += [f"{name}={value!r}" for name, value in frame.f_locals.items()]
    if isinstance(error, SyncroError):
        revived = pickle.loads(pickle.dumps(error))
        texts += [str(revived), repr(vars(revived)), repr(pickle.dumps(error))]
        texts.append(repr(vars(copy.copy(error))))
    return "\n".join(texts)


CALLS: dict[str, Callable[[AsyncClient], Awaitable[object]]] = {
    "read": lambda client: client.leads.get(7),
    "write": lambda client: client.leads.create(name="Ana", pipeline_id=1, stage_id=2),
    "page": lambda client: client.leads.list().first(),
    "by hand": lambda client: client.request("GET", "/leads", type=dict[str, int]),
}


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("", "syncro_async", "httpx", "httpcore", "httpx2", "httpcore2", "asyncio"):
        caplog.set_level(logging.DEBUG, name)


@asynccontextmanager
async def watched(app: App, seen: list[Event]) -> AsyncIterator[AsyncClient]:
    options = {"observers": [seen.append], "retry": at_once(2), "max_wait": 5.0}
    async with client_of(app, **options) as client:
        yield client


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fault", ANSWERS)
async def test_no_error_shows_it(name: str, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    app, seen = App(ANSWERS[fault]), list[Event]()
    async with watched(app, seen) as client:
        with pytest.raises(SyncroError) as caught:
            await CALLS[name](client)
        assert KEY in app.asked[0].headers["x-api-key"]
        assert KEY not in repr(client)
    shown = shown_by(caught.value)
    assert "_carry" in shown or "transport" in shown
    assert KEY not in shown
    assert KEY not in caplog.text
    assert KEY not in repr(seen)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "echo",
    [b"", b"\r\n", b"HTTP/1.1 200 OK\r\nX-Debug %s\r\n\r\n", b"HTTP/1.1 %s\r\n\r\n"],
    ids=["nothing", "a blank line", "a broken header", "a broken status"],
)
async def test_nor_does_one_from_a_socket(
    name: str, echo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = echo.replace(b"%s", KEY.encode())
    async with ScriptedServer(drops(answer, reset=False)) as server:
        retry = at_once(2)
        async with AsyncClient(KEY, base_url=server.url, retry=retry) as client:
            with pytest.raises(SyncroError) as caught:
                await CALLS[name](client)
    assert KEY.encode() in server.requests[0]
    assert KEY not in shown_by(caught.value)
    # What httpcore logs at DEBUG are the server's words, before anybody else has read them.
    ours = [record for record in caplog.records if record.name == "syncro_async" or not echo]
    assert ours
    assert KEY not in "\n".join(record.getMessage() for record in ours)


async def test_nor_does_a_refused_connection() -> None:
    async def hangs_up(connection: Connection) -> None:
        connection.reset()

    async with ScriptedServer(hangs_up) as server:
        url = server.url.replace("http:", "https:")
        async with AsyncClient(KEY, base_url=url, retry=at_once(1)) as client:
            with pytest.raises(SyncroError) as caught:
                await client.leads.get(7)
    assert KEY not in shown_by(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"max_connections": 0},
        {"base_url": "ftp://x"},
        {"limiter": "mysql://:password@host"},
        {"rate_limit": []},
        {"rate_limit": RateLimit(7, 9.0)},
        {"lane": "fast"},
        {"timeout": 0},
        {"max_wait": -1},
    ],
    ids=str,
)
async def test_settings_that_cannot_work_do_not_show_it(options: dict[str, Any]) -> None:
    async with client_of(App()) as client:
        await client.request("GET", "/x")
        settings: dict[str, Any] = {
            "base_url": BASE_URL,
            "clock": client._settings.config.clock,
            **options,
        }
        with pytest.raises(ConfigurationError) as caught:
            AsyncClient(KEY, **settings)
    shown = shown_by(caught.value)
    assert "__init__" in shown
    assert KEY not in shown
    assert ":password" not in str(caught.value)


@pytest.mark.parametrize(
    "bad",
    [
        *(
            f"{KEY}{end}"
            for end in ("\n", "\r\n", " ", "\t", "é", "\x7f", "\u200b", "\N{NO-BREAK SPACE}")
        ),
        *(f"{start}{KEY}" for start in ("Bearer ", " ", "\n", "\ufeff", "“")),
        f"{KEY}\r\nX-Evil: 1",
        f"{KEY} {KEY}",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("environment", [True, False])
def test_a_key_that_is_none_is_not_shown_either(
    bad: str,
    environment: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SYNCRO_API_KEY", bad)
    with pytest.raises(ConfigurationError, match="copy it again") as caught:
        AsyncClient(None if environment else bad)
    assert KEY not in shown_by(caught.value)


async def test_no_cancelled_call_shows_it() -> None:
    app = App(never)
    async with client_of(app) as client:
        call = asyncio.ensure_future(client.leads.get(7))
        await app.arrived()
        call.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await call
        assert KEY not in shown_by(caught.value)
        assert KEY not in repr(asyncio.all_tasks())


class Reachable:
    """Everything of this package that a client holds, however deep."""

    def __init__(self, root: object) -> None:
        self.found: list[object] = []
        self._seen: set[int] = set()
        ahead = [root]
        while ahead:
            here = ahead.pop()
            if id(here) in self._seen or isinstance(here, type | ModuleType):
                continue
            self._seen.add(id(here))
            ours = type(here).__module__.partition(".")[0] == "syncro_async"
            if ours:
                self.found.append(here)
            if ours or isinstance(here, _VESSELS):
                ahead += gc.get_referents(here)


_VESSELS = (dict, list, tuple, set, frozenset, MethodType, CellType, partial)


@pytest.mark.parametrize("of", ["client", "view", "leads", "list"])
async def test_nothing_that_a_client_holds_shows_or_pickles_it(of: str) -> None:
    async with (
        ScriptedServer(answers(http(), http(ECHO, "500 No"))) as server,
        AsyncClient(KEY, base_url=server.url, retry=at_once(1)) as client,
    ):
        await client.request("GET", "/x")
        with pytest.raises(ServerError):
            await client.request("GET", "/x")
        view = client.with_options(lane="bulk")
        roots = {"client": client, "view": view, "leads": view.leads, "list": view.leads.list()}
        found = Reachable(roots[of]).found
        for each in found:
            assert KEY not in repr(each)
            assert KEY not in str(each)
            holds = vars(each) if hasattr(each, "__dict__") else {}
            # One engine sends it, and so holds it.
            assert KEY not in repr({**holds, "_headers": None})
            with suppress(TypeError, AttributeError, pickle.PicklingError, DeprecationWarning):
                assert KEY.encode() not in pickle.dumps(each)
        kinds = {type(each).__name__ for each in found}
        assert kinds >= {"ApiKey", "HttpEngine", "Pipeline"} or of == "list"


async def test_no_log_shows_it_when_all_goes_well(
    engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    lead = http(b'{"success": true, "lead": {"id": 7}}')
    async with (
        ScriptedServer(answers(lead)) as server,
        AsyncClient(KEY, base_url=server.url) as client,
    ):
        await client.leads.get(7)
    assert KEY.encode() in server.requests[0]
    core = engine.replace("httpx", "httpcore")
    assert {f"{core}.http11", f"{core}.connection", "syncro_async"} <= {
        record.name for record in caplog.records
    }
    for record in caplog.records:
        assert KEY not in record.getMessage()
        assert KEY not in repr(vars(record))


CODES: dict[str, type[APIError]] = {
    "REAUTH": ReauthenticationRequiredError,
    "PROVIDER_LIMIT": ProviderRateLimitedError,
    "PROVIDER_AUTH": ProviderAuthenticationError,
    "CIRCUIT": CircuitOpenError,
}


def said(status: int, **body: Any) -> Answer:
    """An answer that echoes the key beside what it says."""
    return Answer(status, {"message": f"no: {KEY}", "key": KEY, **body})


# What makes each error that a call can raise.
ORIGINS: dict[type[SyncroError], Answer | Exception | Callable[..., Awaitable[Answer]]] = {
    ConnectionFailedError: httpx.ConnectError(f"refused {KEY}"),
    RequestTimeoutError: never,
    NoAnswerError: httpx.ReadError(f"broken {KEY}"),
    OutcomeUnknownError: httpx.ReadError(f"broken {KEY}"),
    UnexpectedResponseError: Answer(200, f"<p>{KEY}".encode(), HTML),
    APIError: said(418),
    BadRequestError: said(400),
    AuthenticationError: said(401),
    PermissionDeniedError: said(403, required_permission=f"leads:{KEY}"),
    AccountSuspendedError: Answer(403, {"message": "Conta inativa.", "key": KEY}),
    NotFoundError: said(404),
    ConflictError: said(409),
    UnprocessableError: said(422),
    ValidationError: said(422, errors={KEY: [KEY]}),
    StageBlockedError: said(422, blocked=True, pending_tasks=[{"id": 1, "subject": KEY}]),
    PlanLimitError: said(422, limit_reached=True),
    MessagingWindowClosedError: said(422, skip_reason="window_closed"),
    RateLimitedError: said(429, retry_after=900),
    ServerError: said(500),
    ProviderError: said(502, raw={"key": KEY}),
    ServiceUnavailableError: said(503),
    ReauthenticationRequiredError: said(403, code="REAUTH"),
    ProviderRateLimitedError: said(429, code="PROVIDER_LIMIT", retry_after=900),
    ProviderAuthenticationError: said(502, code="PROVIDER_AUTH"),
    CircuitOpenError: said(503, code="CIRCUIT"),
}
# Those that come before anything is sent.
UNSENT = {
    BadRowsError,
    BudgetWaitError,
    ConfigurationError,
    InvalidArgumentError,
    MissingResourceError,
    UnknownArgumentError,
}
# Those of many calls.
OF_JOBS = {ImportStoppedError}


def every_error(kind: type[SyncroError] = SyncroError) -> Iterator[type[SyncroError]]:
    for child in kind.__subclasses__():
        yield child
        yield from every_error(child)


def test_each_error_has_its_origin_here() -> None:
    ours = {kind for kind in every_error() if kind.__module__ == "syncro_async.errors"}
    assert ours == ORIGINS.keys() | UNSENT | OF_JOBS


@pytest.mark.parametrize("kind", ORIGINS, ids=lambda kind: kind.__name__)
async def test_no_error_of_any_kind_shows_it(kind: type[SyncroError]) -> None:
    app = App(ORIGINS[kind])
    call = CALLS["write" if kind in {OutcomeUnknownError, ServerError} else "read"]
    dialect = replace(SYNCRO, codes=CODES)
    async with client_of(app, dialect=dialect, retry=at_once(1), max_wait=5.0) as client:
        with pytest.raises(kind) as caught:
            await call(client)
    assert caught.type is kind
    assert KEY in app.asked[0].headers["x-api-key"]
    assert KEY not in shown_by(caught.value)


async def test_nor_do_those_that_come_before_anything_is_sent() -> None:
    app = App()
    async with client_of(app, rate_limit=RateLimit(1, 60.0), max_wait=1.0) as client:
        await client.request("GET", "/x")
        with pytest.raises(BudgetWaitError) as too_long:
            await client.leads.get(7)
    with pytest.raises(ConfigurationError) as closed:
        await client.leads.get(7)
    assert KEY not in shown_by(too_long.value)
    async with client_of(app, rate_limit=RateLimit(1, 60.0)) as client:
        with pytest.raises(BadRowsError) as bad:
            await client.bulk.upsert_leads([{"name": "Ana"}])
    assert KEY not in shown_by(closed.value)
    assert KEY not in shown_by(bad.value)


async def test_nor_does_the_one_that_ends_an_import() -> None:
    row = {"name": "Ana", "email": "ana@example.com", "pipeline_id": 1, "stage_id": 4}
    async with client_of(App(said(401)), retry=at_once(1)) as client:
        with pytest.raises(ImportStoppedError) as stopped:
            await client.bulk.upsert_leads([row])
    assert KEY not in shown_by(stopped.value)


class TestTheWrapping:
    def test_it_cannot_be_shown_or_pickled(self) -> None:
        key = ApiKey(KEY)
        assert (str(key), repr(key)) == ("ApiKey(***)", "ApiKey(***)")
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(key)

    def test_equal_keys_are_equal(self) -> None:
        assert ApiKey(KEY) == ApiKey(KEY)
        assert hash(ApiKey(KEY)) == hash(ApiKey(KEY))
        assert ApiKey(KEY) != ApiKey("crm_other")
        assert ApiKey(KEY) != KEY

    def test_it_masks_what_echoes_it(self) -> None:
        assert ApiKey(KEY).mask(f"<{KEY}>".encode()) == b"<***>"
        assert ApiKey(KEY).mask_text(f"<{KEY}>") == "<***>"
