"""FastAPI: one client per process, handed to the handlers, its errors turned into answers.

    app = FastAPI(lifespan=syncro_lifespan(max_wait=10.0))
    add_error_handlers(app)
    Syncro = Annotated[AsyncClient, SyncroDep]  # with today's FastAPI also `type Syncro = …`

    @app.get("/leads/{lead_id}")
    async def read(lead_id: int, syncro: Syncro) -> StructResponse:
        return StructResponse(await syncro.leads.get(lead_id))

A caller who disconnects gives its place in the queue back (see `leaving_callers`); which answer an
error becomes says the table in `error_answers`. The calls of a handler go in the client's lane,
`interactive` unless told otherwise; background work belongs inside `with lane("bulk"):`. What the
API's reference rules out is a `ValueError` and so a 500: have FastAPI check what callers send.

In tests, hand the handlers a client of the sandbox; no lifespan is needed then:

    async with sandbox_client() as syncro:
        app.dependency_overrides[get_syncro] = lambda: syncro

Needs the extra `fastapi`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cache
from typing import Any, TypeVar, cast, overload

import msgspec

try:
    from fastapi import Depends
    from starlette.applications import Starlette
    from starlette.requests import HTTPConnection
    from starlette.responses import JSONResponse
    from starlette.websockets import WebSocket, WebSocketState
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'FastAPI needs its extra: pip install "syncro-async[fastapi]"',
        name=error.name,
    ) from error

from syncro_async.client import AsyncClient
from syncro_async.errors import (
    APIError,
    BudgetWaitError,
    ConfigurationError,
    NoAnswerError,
    SyncroError,
)
from syncro_async.integrations.client_disconnects import ClientDisconnects
from syncro_async.integrations.error_responses import error_response

__all__ = [
    "StructResponse",
    "SyncroDep",
    "add_error_handlers",
    "client_named",
    "get_syncro",
    "syncro_lifespan",
]

App = TypeVar("App", bound=Starlette)
State = Mapping[str, Any]
Lifespan = Callable[[App], AbstractAsyncContextManager[State | None]]
GetClient = Callable[[HTTPConnection], Awaitable[AsyncClient]]

_STANDARD_NAME = "syncro"
# Why a WebSocket is closed (RFC 6455, 7.4, and its registry of close codes).
_CLOSED, _CLOSED_BUSY = 1011, 1013
_logger = logging.getLogger("syncro_async.fastapi")


@overload
def syncro_lifespan(
    make_client: Callable[[], AsyncClient],
    /,
    *,
    inner: Lifespan[Any] | None = None,
    name: str = _STANDARD_NAME,
) -> Callable[[Any], AbstractAsyncContextManager[State]]: ...
@overload
def syncro_lifespan(
    *, inner: Lifespan[Any] | None = None, name: str = _STANDARD_NAME, **options: Any
) -> Callable[[Any], AbstractAsyncContextManager[State]]: ...
def syncro_lifespan(
    make_client: Callable[[], AsyncClient] | None = None,
    /,
    *,
    inner: Lifespan[Any] | None = None,
    name: str = _STANDARD_NAME,
    **options: Any,
) -> Callable[[Any], AbstractAsyncContextManager[State]]:
    """A lifespan that gives the application a client: `FastAPI(lifespan=syncro_lifespan(…))`.

    `options` are those of `AsyncClient`; or give a function that makes the client, which a type
    checker sees through: `syncro_lifespan(lambda: AsyncClient(max_wait=10.0))`. Each worker
    process makes its own when it starts, connects at its first call and closes it when it stops.

    `inner` is the application's own lifespan. It begins when the client is there, as
    `app.state.syncro`, ends before it is closed, and the state it yields is passed on. Two clients
    are two lifespans with two names, one inside the other; `client_named(name)` hands them out.

    Raises `TypeError` at once for an option that `AsyncClient` does not have; a setting that
    cannot work is a `ConfigurationError` when the application starts.
    """
    if make_client is not None and options:
        raise TypeError(f"options belong into the function that makes the client: {[*options]}")
    make = make_client or _maker_with(options)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[State]:
        try:
            client = make()
        except ConfigurationError as error:
            raise error.with_traceback(None) from None  # its frames may hold the key
        with_inner = nullcontext() if inner is None else inner(app)
        async with client, _held_by(app, name, client), with_inner as state:
            yield {**(state or {}), name: client}

    return lifespan


def _maker_with(options: dict[str, Any]) -> Callable[[], AsyncClient]:
    inspect.signature(AsyncClient).bind(**options)

    def make() -> AsyncClient:
        return AsyncClient(**options)

    return make


@asynccontextmanager
async def _held_by(app: Starlette, name: str, client: AsyncClient) -> AsyncIterator[None]:
    """The application knows the client, and has its callers' leaving noticed, until it stops."""
    if hasattr(app.state, name):
        raise ConfigurationError(f"app.state.{name} is taken: give syncro_lifespan another name=…")
    stack = app.middleware_stack or app.build_middleware_stack()
    watched = stack if isinstance(stack, ClientDisconnects) else ClientDisconnects(stack)
    app.middleware_stack = watched
    setattr(app.state, name, client)
    try:
        yield
    finally:
        delattr(app.state, name)
        app.middleware_stack = stack


@cache
def client_named(name: str) -> GetClient:
    """The dependency that hands out the client of `syncro_lifespan(name=…)`.

    Write `Annotated[AsyncClient, Depends(client_named("other"))]`. It is the same function for the
    same name, so `app.dependency_overrides[client_named("other")]` replaces it. A request raises
    `ConfigurationError` where no lifespan made that client.
    """

    async def get_client(connection: HTTPConnection) -> AsyncClient:
        """The application's client. Raises `ConfigurationError` where no lifespan made it."""
        # The lifespan's state reaches mounted applications too, which have an `app` of their own;
        # that of the application is there also where a test runs the lifespan by itself.
        for state in (connection.state, connection.app.state):
            client = getattr(state, name, None)
            if client is not None:
                return cast("AsyncClient", client)
        given = "" if name == _STANDARD_NAME else f"name={name!r}"
        raise ConfigurationError(
            f"the application has no client {name!r}: make it with"
            f" FastAPI(lifespan=syncro_lifespan({given})), and let its lifespan run"
            " (an ASGI transport by itself does not)"
        )

    return get_client


get_syncro = client_named(_STANDARD_NAME)
"""The dependency behind `SyncroDep`, for `app.dependency_overrides[get_syncro]`."""

SyncroDep: Any = Depends(get_syncro)
"""The application's client, for a handler's parameter: `Annotated[AsyncClient, SyncroDep]`.

Raises `ConfigurationError` where no `syncro_lifespan` runs.
"""


class StructResponse(JSONResponse):
    """A JSON answer that may hold what this package returns, such as leads or a `Budget`.

    FastAPI's own encoder knows no msgspec structs. A relation that was not asked for is left out.
    """

    def render(self, content: Any) -> bytes:
        """The content as JSON. Raises `TypeError` for what cannot be such."""
        return msgspec.json.encode(content)


def add_error_handlers(app: Starlette) -> None:
    """Answer the errors of calls that a handler does not catch, as `error_answers` has it.

    The body is `{"error": {"code": …, "message": …}}`; the API's own answer and words stay in the
    log (`syncro_async.fastapi`, a WARNING for each 5xx). What is no error of a call is left
    alone: `ConfigurationError`, a fault of the program, stays a 500.

    A WebSocket has no answers: it is closed with that code as the reason, under 1013 («try again
    later») for a 503 and 1011 («internal error») for all others.
    """
    for kind in (BudgetWaitError, NoAnswerError, APIError):
        # The type knows handlers for requests or for WebSockets, and none for both.
        app.add_exception_handler(kind, cast("Any", _answer))


async def _answer(caller: HTTPConnection, error: Exception) -> JSONResponse | None:
    failed = cast("SyncroError", error)
    status, headers, body = error_response(failed)
    if status >= 500:
        asked = f"{caller.scope.get('method', 'WebSocket')} {caller.url.path}"
        _logger.warning("%s answers %d: %s", asked, status, failed)
    if isinstance(caller, WebSocket):
        if caller.application_state is not WebSocketState.DISCONNECTED:
            await caller.close(_CLOSED_BUSY if status == 503 else _CLOSED, body["error"]["code"])
        return None
    return StructResponse(body, status, headers)
