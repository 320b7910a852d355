"""The client: what a user makes, asks and closes."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar, Unpack, cast, overload

from msgspec import structs

from syncro_async._internal.plain_text import shown
from syncro_async.bulk.job import JobContext, current_job
from syncro_async.clock import Clock
from syncro_async.dialects import SYNCRO, Dialect
from syncro_async.dialects.pagination import Cursor, PageNumbers
from syncro_async.errors import InvalidArgumentError
from syncro_async.events import Observer, Observers
from syncro_async.limiting.context import chosen_lane
from syncro_async.limiting.protocol import Budget, Lane, Limiter
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.paging.factory import ListOptions, ListRequest, make_paginator
from syncro_async.paging.paginator import Paginator
from syncro_async.resources.account import Account, Users
from syncro_async.resources.arguments import PageRange
from syncro_async.resources.custom_fields import CustomFields
from syncro_async.resources.leads import Leads
from syncro_async.resources.name_cache import NameCache
from syncro_async.resources.pipelines import Pipelines
from syncro_async.resources.raw_client import RawClient
from syncro_async.resources.resource import Calls, Record, resource_property
from syncro_async.resources.tasks import Tasks
from syncro_async.resources.webhooks import Webhooks
from syncro_async.resources.whatsapp import WhatsApp
from syncro_async.retrying.policy import RetryPolicy
from syncro_async.settings import (
    Settings,
    account_of,
    base_url_from,
    check_dialect_variant,
    checked_options,
    clock_from,
    connections_from,
    key_source,
    locale_from,
    pipeline_from,
    rates_from,
)
from syncro_async.transport.json_codec import decode_any, decoder_for, encode_body
from syncro_async.transport.messages import Call, CallOptions
from syncro_async.transport.pipeline import ClientConfig
from syncro_async.transport.redaction import ApiKey
from syncro_async.transport.rotating_key import NOT_ASKED, AskKey
from syncro_async.transport.urls import (
    Parameters,
    RequestOptions,
    merge_default_params,
    pairs_of,
    query_string,
    relative_path,
)
from syncro_async.transport.values import refusal, scalar, unwrapped
from syncro_async.transport.wire import wire_from
from syncro_async.version import __version__

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

    from syncro_async.bulk.api import Bulk
    from syncro_async.transport.http_engine import Transport
else:
    AsyncLimiter = Bulk = Transport = (
        Any  # for those who look up what a client is made of, as containers do
    )

T = TypeVar("T")

# Methods whose second sending does no more than the first (RFC 9110, 9.2.2).
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_METHOD = re.compile(r"[A-Z]+")
_UNCHANGED: Any = object()
_USER_AGENT = f"syncro-async/{__version__}"
_STANDARD_RETRIES = RetryPolicy()


class AsyncClient:
    """The asyncio client for the Syncro CRM API.

        async with AsyncClient() as syncro:          # the key from SYNCRO_API_KEY
            async for lead in syncro.leads.list(tags=["vip"]):
                print(lead.name)

    Every call waits for its place in the key's budget (60 requests a minute), is tried again
    where that helps and cannot do harm, and raises the errors of `syncro_async.errors` only.
    All clients of a process with the same key and base URL share one budget. It may be used from
    any number of tasks, opens its connections on first use, and never shows the key.

    - `api_key`: a key, or a function, sync or async, that returns one: it is asked before the first
      call, and again after a 401, so that keys may rotate. Each key has its own budget. None: the
      environment's `SYNCRO_API_KEY`.
    - `base_url`: None: the environment's `SYNCRO_BASE_URL`, else the service's own. The variables
      carry the dialect's name.
    - `dialect`: which service this is; `syncro_async.dialects` has those it knows.
    - `rate_limit`: what the service allows, one `RateLimit` or several that hold at once; else
      `SYNCRO_RATE_LIMIT` (`60/60`: calls/seconds), else the dialect's.
    - `limiter`: where the budget is kept: `"memory://"` (this process, the default), `"host"` (all
      programs of this user on this machine), `"sqlite:///…"` (the programs that name the file) or
      `"redis://…"` (of many hosts), an object with the `Limiter` protocol, or an
      `aiolimiter.AsyncLimiter` (an even flow, with 429s where the server counts by windows);
      else `SYNCRO_LIMITER`.
    - `lane`: `"interactive"` goes before `"bulk"`; bulk gets at least every fifth slot.
    - `max_wait` (s): a call that would wait longer in the queue fails at once, unsent, with
      `BudgetWaitError`. None: it waits.
    - `retry`: a `RetryPolicy`. `timeout` (s): for one attempt, from first byte to last.
    - `max_connections`: how many requests of one event loop are on the wire at once, at most.
      Waiting for one of them counts neither as `max_wait` nor as `timeout`.
    - `transport`: an async transport of httpx or httpx2, in place of the connections that the
      client opens.
    - `tls`: an `ssl.SSLContext` for the connections that the client opens, with a CA or a client
      certificate of your own. Otherwise `SSL_CERT_FILE` and `SSL_CERT_DIR` name the CAs, and
      `SYNCRO_CLIENT_CERT` a PEM file with the client certificate and its private key.
    - `engine`: the HTTP library, `"httpx"` (the default) or `"httpx2"` (its extra); else
      `SYNCRO_ENGINE`. A transport decides by itself, and an engine of another library beside it is
      an error.
    - `clock`: for tests.
    - `observers`: functions that get every event of `syncro_async.events`.

    Raises `ConfigurationError` for settings that cannot work.
    """

    _owns_pipeline = True
    _explicit_lane: Lane | None = None

    def __init__(
        self,
        api_key: str | AskKey | None = None,
        *,
        base_url: str | None = None,
        dialect: Dialect = SYNCRO,
        rate_limit: RateLimit | Sequence[RateLimit] | None = None,
        limiter: str | Limiter | AsyncLimiter | None = None,
        lane: Lane = "interactive",
        max_wait: float | None = None,
        retry: RetryPolicy | None = None,
        timeout: float = 30.0,
        max_connections: int = 20,
        transport: Transport | None = None,
        tls: ssl.SSLContext | None = None,
        engine: Literal["httpx", "httpx2"] | None = None,
        clock: Clock | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        try:
            source = key_source(api_key, dialect)
        finally:
            del api_key  # an error's traceback holds this frame
        wiring = ClientConfig(
            api_key=source if isinstance(source, ApiKey) else NOT_ASKED,
            base_url=base_url_from(base_url, dialect),
            dialect=dialect,
            rates=rates_from(rate_limit, dialect),
            max_connections=connections_from(max_connections),
            wire=wire_from(transport, tls=tls, engine=engine, environment=dialect.environment),
            clock=clock_from(clock),
            user_agent=_USER_AGENT,
        )
        calls = CallOptions(lane, max_wait, timeout, retry or _STANDARD_RETRIES, dialect.headers)
        self._settings = Settings(wiring, checked_options(calls))
        self._emit = emit = Observers(observers)
        self._pipeline = pipeline_from(source, wiring, limiter, emit, timeout=timeout)
        self._names = NameCache(wiring.clock)
        self._account = f"{wiring.base_url} {account_of(source)}"

    leads = resource_property("leads", Leads)
    tasks = resource_property("tasks", Tasks)
    pipelines = resource_property("pipelines", Pipelines)
    custom_fields = resource_property("custom_fields", CustomFields)
    whatsapp = resource_property("whatsapp", WhatsApp)
    account = resource_property("account", Account)
    users = resource_property("users", Users)
    webhooks = resource_property("webhooks", Webhooks)

    @property
    def with_raw_response(self) -> RawClient:
        """The same calls; each returns a `RawResult` with the status, headers and body.

            raw = await syncro.with_raw_response.leads.get(1)
            print(raw.status, raw.attempts, raw.parsed.name)

        A list comes as its first page.
        """
        return RawClient(self)

    @property
    def bulk(self) -> Bulk:
        """The jobs of many calls; they use the bulk lane unless `with_options` chose one."""
        # Here and not above: files, databases and journals are half of what an import takes.
        from syncro_async.bulk.api import Bulk  # noqa: PLC0415

        config = self._settings.config
        ground = JobContext(
            list_leads=lambda: self.leads,
            request=self.request,
            send=self._send,
            budget=self.budget,
            rates=self._limiter.rates,
            clock=config.clock,
            base_url=config.base_url,
            account=self._account,
            lane=self._explicit_lane or chosen_lane() or "bulk",
            client=self._pipeline,
            stats=self._pipeline.stats,
            emit=self._emit,
            locale=locale_from(config.dialect),
        )
        return Bulk(ground)

    def with_options(
        self,
        *,
        lane: Lane = _UNCHANGED,
        max_wait: float | None = _UNCHANGED,
        timeout: float = _UNCHANGED,
        retry: RetryPolicy = _UNCHANGED,
        dialect: Dialect = _UNCHANGED,
    ) -> AsyncClient:
        """The same client with other options for the calls made through it.

        It shares the connections and the budget; closing it closes nothing. An option that is not
        given stays as it is. Raises `ConfigurationError` for options that cannot work.

        - `lane`, `max_wait` (s), `timeout` (s), `retry`: as for `AsyncClient`.
        - `dialect`: one that differs from the client's in its headers, parameters and paging only,
          for example `ROUTEMCP.with_options(end_user_id=…)`.
        """
        given = {"lane": lane, "max_wait": max_wait, "timeout": timeout, "retry": retry}
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not _UNCHANGED
        }
        config, names = self._settings.config, self._names
        if dialect is not _UNCHANGED:
            config = replace(config, dialect=check_dialect_variant(config.dialect, dialect))
            changes["headers"] = dialect.headers
            names = NameCache(config.clock)  # the headers may name another person's account
        options = checked_options(structs.replace(self._settings.options, **changes))
        return self._view(
            _settings=Settings(config, options),
            _explicit_lane=self._explicit_lane if lane is _UNCHANGED else lane,
            _names=names,
        )

    def budget(self) -> Budget:
        """Return the state of the key's budget, as far as this process knows it.

        That is right now, unless the limiter is shared: then as of the last request or
        `refresh_budget()`.
        """
        budget = self._limiter.budget()
        left = self._pipeline.retries_left(self._settings.options.retry)
        # A limiter of the user's own may give something else.
        known = isinstance(budget, Budget)
        return structs.replace(budget, retries_left=left) if known else budget

    async def refresh_budget(self) -> Budget:
        """Ask the limiter for the current budget; sends no request and takes no slot.

        Raises `ConnectionFailedError` when a shared limiter's store is out of reach.
        """
        await self._pipeline.ready()
        await self._limiter.refresh()
        return self.budget()

    @overload
    async def request(
        self, method: str, path: str, *, type: None = None, **options: Unpack[RequestOptions]
    ) -> Any: ...
    @overload
    async def request(
        self, method: str, path: str, *, type: type[T], **options: Unpack[RequestOptions]
    ) -> T: ...
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Parameters | None = None,
        json: Any = None,
        type: type[Any] | None = None,
    ) -> Any:
        """Call any endpoint through the same budget, retries and errors.

            found = await syncro.request("GET", "/leads", params={"per_page": 1})
            print(found["meta"]["total"])

        Returns the whole decoded body, its envelope included. Raises `InvalidArgumentError` for a
        path that leaves the base URL and for a method or values that cannot be sent, and the other
        errors of `syncro_async.errors`.

        - `method`: an HTTP method. GET, PUT and DELETE may be sent again after an attempt that may
          have been executed; POST and PATCH may not.
        - `path`: relative to the base URL (`/tasks`), or an absolute URL below it.
        - `params`: the query, as a map or as pairs of name and value. A list repeats its name with
          `[]`; None is left out.
        - `json`: the body (None: no body). None inside it is null.
        - `type`: what the body is decoded to, for instance a `msgspec.Struct` or `dict[str, int]`
          (None: plain objects, and None for an empty body).
        """
        verb = str(scalar("method", method)).upper()
        if not _METHOD.fullmatch(verb):
            raise InvalidArgumentError(
                f"method={shown(method)} is no HTTP method", argument="method"
            )
        call: Call[Any] = Call(
            verb,
            relative_path(path, self._settings.config.base_url),
            decode_any if type is None else decoder_for(type),
            idempotent=verb in _REPEATABLE,
            query=query_string(params),
            body=None if json is None else encode_body(json),
        )
        return await self._send(call)

    @overload
    def paginate(
        self, path: str, *, item: None = None, **options: Unpack[ListOptions]
    ) -> Paginator[Any]: ...
    @overload
    def paginate(
        self, path: str, *, item: type[T], **options: Unpack[ListOptions]
    ) -> Paginator[T]: ...
    def paginate(
        self,
        path: str,
        *,
        params: Parameters | None = None,
        item: type[Any] | None = None,
        page_size: int | None = None,
        max_items: int | None = None,
        paging: PageNumbers | Cursor | None = None,
    ) -> Paginator[Any]:
        """Page through any list of the service; nothing is sent before an item is asked for.

            async for contact in wolfeo.paginate("/contacts", params={"period": "all"}):
                print(contact["email"])

        Raises `ConfigurationError` when the service does not document how its lists are paged and
        `paging` is not given, and `InvalidArgumentError` for arguments that cannot be sent.

        - `path`, `params`: as for `request()`. A page number or a cursor among the `params` is
          where the list begins.
        - `item`: what each item is decoded to (None: plain objects).
        - `page_size`: items a page (None: as many as the service allows).
        - `max_items`: the list ends after so many items (None: at its end).
        - `paging`: how this list is paged, where it differs from the service's other lists.
        """
        config = self._settings.config
        kind = cast("type[Any]", Any) if item is None else item
        decoder_for(kind, "item")
        query = pairs_of(params)
        query_string(query)  # what cannot be sent is refused now, not with the first page
        size, limit = cast("tuple[int | None, ...]", (unwrapped(page_size), unwrapped(max_items)))
        if paging is not None and not isinstance(paging, PageNumbers | Cursor):
            raise refusal("paging", "a PageNumbers or a Cursor", paging)
        asked = ListRequest(relative_path(path, config.base_url), query, kind, size, limit)
        return make_paginator(asked, config.dialect.paging_of(paging), self._send, self._emit)

    async def aclose(self) -> None:
        """Close the connections; requests on the wire are given 5 s to end. Twice is harmless."""
        if self._owns_pipeline:
            await self._pipeline.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __copy__(self) -> AsyncClient:
        """A copy is a view, as `with_options()` makes one: connections and budget are shared."""
        return self._view()

    def __deepcopy__(self, memo: object) -> AsyncClient:
        return self._view()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an AsyncClient is not pickled, for its key must not be written anywhere; create a"
            " client in the other process"
        )

    def __repr__(self) -> str:
        settings: Settings | None = vars(self).get("_settings")
        if settings is None:  # a traceback shows it while it is being made
            return "<AsyncClient>"
        return f"<AsyncClient {settings.config.base_url} lane={settings.options.lane}>"

    @property
    def _limiter(self) -> Limiter:
        """The limiter of the key; of a key that changes, the newest one's."""
        return self._pipeline.limiter

    def _view(self, **changes: Any) -> AsyncClient:
        """The same client with other attributes; it shares the connections and closes nothing."""
        view = object.__new__(type(self))
        vars(view).update(vars(self), _owns_pipeline=False, **changes)
        return view

    def _recording(self, record: Record) -> AsyncClient:
        config = self._settings.config
        options = structs.replace(self._settings.options, record=record)
        # A list that is kept has no answer to show.
        return self._view(_settings=Settings(config, options), _names=NameCache(config.clock))

    def _calls_of(self, resource: str) -> Calls:
        self._settings.config.dialect.check_resource(resource)

        def recording(record: Record) -> Calls:
            return self._recording(record)._calls_of(resource)  # noqa: SLF001  # of this class

        return Calls(self._send, self._paginate, self._emit, self._names, recording)

    def _paginate(
        self, path: str, query: Mapping[str, Any], item: type[T], part: PageRange, /
    ) -> Paginator[T]:
        pairs = pairs_of(query)
        asked = ListRequest(path, pairs, item, part.page_size, part.max_items, part.start_page)
        paging = self._settings.config.dialect.paging_of()
        return make_paginator(asked, paging, self._send, self._emit)

    async def _send(self, call: Call[T], /) -> T:
        settings = self._settings
        defaults = settings.config.dialect.params
        if defaults:
            call = structs.replace(call, query=merge_default_params(call.query, defaults))
        options = settings.options
        lane = self._explicit_lane or chosen_lane()
        if lane is not None:
            options = structs.replace(options, lane=lane)
        job = current_job(self._pipeline)
        if job is not None:
            options = job.options(options, lane_chosen=lane is not None)
        return await self._pipeline(call, options)
