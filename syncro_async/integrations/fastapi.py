"""FastAPI integration: one client for each process, and responses for its errors.

    app = FastAPI(lifespan=syncro_lifespan(max_wait=10.0), responses=ERROR_RESPONSES)
    add_error_handlers(app)
    Syncro = Annotated[AsyncClient, SyncroDep]  # with today's FastAPI also `type Syncro = …`

    @app.get("/leads/{lead_id}")
    async def read(lead_id: int, syncro: Syncro) -> Lead:
        return await syncro.leads.get(lead_id)

When an HTTP client disconnects, its calls leave the queue for budget (see `client_disconnects`).
The table in `error_responses` has the response to each error. The calls of a handler use the
client's lane, `interactive` by default; put background work inside `with lane("bulk"):`. An
argument that the API's reference does not allow is an `InvalidArgumentError` and so a 422.

In tests, override the dependency with a client of the sandbox; then no lifespan is needed:

    async with sandbox_client() as syncro:
        app.dependency_overrides[get_syncro] = lambda: syncro

It needs the extra `fastapi`.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cache
from typing import Any, TypeVar, Unpack, cast, overload

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
from syncro_async.dialects import SYNCRO
from syncro_async.dialects.dialect import Dialect
from syncro_async.errors import (
    APIError,
    BudgetWaitError,
    ConfigurationError,
    InvalidArgumentError,
    NoAnswerError,
    SyncroError,
    UnknownArgumentError,
)
from syncro_async.integrations.client_disconnects import ClientDisconnects
from syncro_async.integrations.error_responses import ERROR_RESPONSES, error_response
from syncro_async.resources.keywords import check_names
from syncro_async.settings import ClientOptions

__all__ = [
    "ERROR_RESPONSES",
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

_DEFAULT_NAME = "syncro"
# Close codes of a WebSocket (RFC 6455, 7.4, and the registry of close codes).
_CLOSED, _CLOSED_BUSY = 1011, 1013
_logger = logging.getLogger("syncro_async.fastapi")


@overload
def syncro_lifespan(
    make_client: Callable[[], AsyncClient],
    /,
    *,
    inner: Lifespan[Any] | None = None,
    name: str = _DEFAULT_NAME,
) -> Callable[[Any], AbstractAsyncContextManager[State]]: ...
@overload
def syncro_lifespan(
    *,
    inner: Lifespan[Any] | None = None,
    name: str = _DEFAULT_NAME,
    **options: Unpack[ClientOptions],
) -> Callable[[Any], AbstractAsyncContextManager[State]]: ...
def syncro_lifespan(
    make_client: Callable[[], AsyncClient] | None = None,
    /,
    *,
    inner: Lifespan[Any] | None = None,
    name: str = _DEFAULT_NAME,
    **options: Any,
) -> Callable[[Any], AbstractAsyncContextManager[State]]:
    """A lifespan that creates the application's client: `FastAPI(lifespan=syncro_lifespan(…))`.

    - `make_client`: a function that creates the client. A type checker then checks its options:
      `syncro_lifespan(lambda: AsyncClient(max_wait=10.0))`.
    - `inner`: the application's own lifespan. It starts after the client is created and ends before
      the client is closed. The state that it yields is passed on.
    - `name`: the attribute of `app.state` that holds the client (default `"syncro"`). For two
      clients, nest two lifespans with two names; `client_named(name)` is the dependency of each.
    - `options`: the options of `AsyncClient`, if there is no `make_client`. Here `limiter` is by
      default `"host"` (after the environment's), so that the workers of one machine share the
      budget. On several machines name a Redis.

    Each worker process creates its own client at its start and closes it at its end. Raises
    `UnknownArgumentError` for an option that `AsyncClient` does not have, or for options beside
    `make_client`. A setting that is not valid is a `ConfigurationError` at the start of the
    application.

        app = FastAPI(lifespan=syncro_lifespan(max_wait=10.0))
    """
    if make_client is not None and options:
        raise UnknownArgumentError(
            f"give make_client or options, not both: move {[*options]} into make_client",
            argument=next(iter(options)),
        )
    make = make_client or _client_factory(options)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[State]:
        try:
            client = make()
        except ConfigurationError as error:
            raise error.with_traceback(None) from None  # its frames may hold the key
        with_inner = nullcontext() if inner is None else inner(app)
        async with client, _attached(app, name, client), with_inner as state:
            yield {**(state or {}), name: client}

    return lifespan


def _client_factory(options: dict[str, Any]) -> Callable[[], AsyncClient]:
    check_names("AsyncClient", options, inspect.signature(AsyncClient).parameters)

    def make() -> AsyncClient:
        dialect: Dialect = options.get("dialect", SYNCRO)
        variable = f"{dialect.environment}_LIMITER"
        limiter = options.get("limiter") or os.environ.get(variable) or "host"
        return AsyncClient(**{**options, "limiter": limiter})

    return make


@asynccontextmanager
async def _attached(app: Starlette, name: str, client: AsyncClient) -> AsyncIterator[None]:
    """Attach the client and the middleware `ClientDisconnects` to the application."""
    if hasattr(app.state, name):
        raise ConfigurationError(
            f"app.state.{name} exists already: give syncro_lifespan another name=…"
        )
    stack = app.middleware_stack or app.build_middleware_stack()
    wrapped = stack if isinstance(stack, ClientDisconnects) else ClientDisconnects(stack)
    app.middleware_stack = wrapped
    setattr(app.state, name, client)
    try:
        yield
    finally:
        delattr(app.state, name)
        app.middleware_stack = stack


@cache
def client_named(name: str) -> GetClient:
    """The dependency for the client of `syncro_lifespan(name=…)`.

    `name`: the name of that lifespan. Write `Annotated[AsyncClient,
    Depends(client_named("other"))]`. The same name returns the same function, so
    `app.dependency_overrides[client_named("other")]` replaces it. A request raises
    `ConfigurationError` when no lifespan has created that client.
    """

    async def get_client(connection: HTTPConnection) -> AsyncClient:
        """The application's client. Raises `ConfigurationError` when there is none."""
        # A mounted application has its own `app.state`, but it gets the state of the lifespan. The
        # state of the application also exists when a test runs the lifespan separately.
        for state in (connection.state, connection.app.state):
            client = getattr(state, name, None)
            if client is not None:
                return cast("AsyncClient", client)
        given = "" if name == _DEFAULT_NAME else f"name={name!r}"
        raise ConfigurationError(
            f"the application has no client {name!r}: create it with"
            f" FastAPI(lifespan=syncro_lifespan({given})), and run the lifespan"
            " (an ASGI transport alone does not run it)"
        )

    return get_client


get_syncro = client_named(_DEFAULT_NAME)
"""The dependency behind `SyncroDep`, for `app.dependency_overrides[get_syncro]`."""

SyncroDep: Any = Depends(get_syncro)
"""The application's client, for a handler's parameter: `Annotated[AsyncClient, SyncroDep]`.

Raises `ConfigurationError` when no `syncro_lifespan` runs.
"""


class StructResponse(JSONResponse):
    """A JSON response for any object that msgspec encodes, without validation and OpenAPI schema.

    A handler can return the structs of this package as they are (`-> Lead`), and OpenAPI then has
    their schemas. This class encodes a page of 200 leads about ten times faster. It writes null
    for a plain field that is None; a relation that was not requested is left out.

        async def read(page: int, syncro: Annotated[AsyncClient, SyncroDep]) -> StructResponse:
            return StructResponse(await anext(syncro.leads.list(start_page=page).pages()))
    """

    def render(self, content: Any) -> bytes:
        """The content as JSON.

        `content`: any object that msgspec encodes. Raises `TypeError` for other objects.
        """
        return msgspec.json.encode(content)


def add_error_handlers(app: Starlette) -> None:
    """Register handlers for errors of calls, with the responses of `error_responses`.

    `app`: the application. The body is `{"error": {"code": …, "message": …}}`. The API's own
    response appears only in the log (`syncro_async.fastapi`, a WARNING for each 5xx). Other errors
    are not handled: a `ConfigurationError` is a fault of the program and stays a 500.

    A WebSocket is closed with the code as the reason: with 1013 (try again later) instead of a
    503, and with 1011 (internal error) instead of any other status.
    """
    for kind in (BudgetWaitError, InvalidArgumentError, NoAnswerError, APIError):
        # The declared type allows a handler for requests or for WebSockets, but not for both.
        app.add_exception_handler(kind, cast("Any", _answer))


async def _answer(connection: HTTPConnection, error: Exception) -> JSONResponse | None:
    status, headers, body = error_response(cast("SyncroError", error))
    if status >= 500:
        request = f"{connection.scope.get('method', 'WebSocket')} {connection.url.path}"
        _logger.warning("%s answers %d: %s", request, status, error)
    if isinstance(connection, WebSocket):
        if connection.application_state is not WebSocketState.DISCONNECTED:
            close_code = _CLOSED_BUSY if status == 503 else _CLOSED
            await connection.close(close_code, body["error"]["code"])
        return None
    return StructResponse(body, status, headers)
