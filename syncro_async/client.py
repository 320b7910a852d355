"""The client: what a user makes, asks and closes."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from msgspec import structs

from syncro_async.bulk.job import JobContext, current_job
from syncro_async.clock import Clock, SystemClock
from syncro_async.dialects import SYNCRO, Dialect
from syncro_async.events import Observer, Observers
from syncro_async.limiting.context import chosen_lane
from syncro_async.limiting.protocol import Budget, Lane, Limiter
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.registry import keep_alive_for, key_hash
from syncro_async.resources.account import Account, Users
from syncro_async.resources.any_list import AnyList
from syncro_async.resources.custom_fields import CustomFields
from syncro_async.resources.leads import Leads
from syncro_async.resources.pipelines import Pipelines
from syncro_async.resources.tasks import Tasks
from syncro_async.resources.webhooks import Webhooks
from syncro_async.resources.whatsapp import WhatsApp
from syncro_async.retrying.policy import RetryPolicy
from syncro_async.settings import (
    Settings,
    api_key_from,
    base_url_from,
    check_dialect_variant,
    checked_options,
    connections_from,
    limiter_from,
    rates_from,
)
from syncro_async.transport.json_codec import decode_any, decoder_for, encode_body
from syncro_async.transport.messages import Call, CallOptions
from syncro_async.transport.pipeline import ClientConfig, Pipeline
from syncro_async.transport.urls import merge_default_params, query_string, relative_path
from syncro_async.version import __version__

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

    from syncro_async.bulk.api import Bulk
    from syncro_async.transport.http_engine import Transport
else:
    AsyncLimiter = Transport = (
        Any  # for those who look up what a client is made of, as containers do
    )

T = TypeVar("T")

# Methods whose second sending does no more than the first (RFC 9110, 9.2.2).
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_METHOD = re.compile(r"[A-Z]+")
_UNCHANGED: Any = object()
_USER_AGENT = f"syncro-async/{__version__}"
_STANDARD_RETRIES = RetryPolicy()
_SYSTEM_CLOCK = SystemClock()


class AsyncClient(AnyList):
    """The asyncio client for the Syncro CRM API.

        async with AsyncClient() as syncro:          # the key from SYNCRO_API_KEY
            async for lead in syncro.leads.list(tags=["vip"]):
                print(lead.name)

    Every call waits for its place in the key's budget (60 requests a minute), is tried again
    where that helps and cannot do harm, and raises the errors of `syncro_async.errors` only.
    All clients of a process with the same key and base URL share one budget. It may be used from
    any number of tasks, opens its connections on first use, and never shows the key.

    - `api_key`: else the environment's `SYNCRO_API_KEY`; `base_url`: else `SYNCRO_BASE_URL`, else
      the service's own. The variables carry the dialect's name.
    - `dialect`: which service this is; `syncro_async.dialects` has those it knows.
    - `rate_limit`: what the service allows, one `RateLimit` or several that hold at once; else
      `SYNCRO_RATE_LIMIT` (`60/60`: calls/seconds), else the dialect's.
    - `limiter`: where the budget is kept: `"memory://"` (this process, the default), `"host"` (all
      programs of this user on this machine), `"sqlite:///…"` (the programs that name the file) or
      `"redis://…"` (of many hosts), an object with the `Limiter` protocol, or an
      `aiolimiter.AsyncLimiter` (an even flow, with 429s where the server counts by windows);
      else `SYNCRO_LIMITER`.
    - `lane`: `"interactive"` goes before `"bulk"`; bulk gets at least every fifth slot.
    - `max_wait` (s): a call that would stand longer in the queue fails at once, unsent, with
      `BudgetWaitError`. None: it waits.
    - `retry`: a `RetryPolicy`. `timeout` (s): for one attempt, from first byte to last.
    - `max_connections`: how many requests of one event loop are on the wire at once, at most.
      Waiting for one of them counts neither as `max_wait` nor as `timeout`.
    - `transport`: any httpx async transport. `clock`: for tests.
    - `observers`: functions that get every event of `syncro_async.events`.

    Raises `ConfigurationError` for settings that cannot work.
    """

    def __init__(
        self,
        api_key: str | None = None,
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
        clock: Clock | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        try:
            key = api_key_from(api_key, dialect)
        finally:
            del api_key  # an error's traceback holds this frame
        wiring = ClientConfig(
            api_key=key,
            base_url=base_url_from(base_url, dialect),
            dialect=dialect,
            rates=rates_from(rate_limit, dialect),
            max_connections=connections_from(max_connections),
            transport=transport,
            clock=clock or _SYSTEM_CLOCK,
            user_agent=_USER_AGENT,
        )
        calls = CallOptions(lane, max_wait, timeout, retry or _STANDARD_RETRIES, dialect.headers)
        self._settings = Settings(wiring, checked_options(calls))
        self._limiter = limiter_from(limiter, wiring, timeout=timeout)
        self._emit = Observers(observers)
        self._pipeline = Pipeline(wiring, self._limiter, self._emit)
        self._owns_pipeline = True
        self._explicit_lane: Lane | None = None
        keep_alive_for(self._pipeline, self._limiter)

    @property
    def leads(self) -> Leads:
        """The calls about leads."""
        self._settings.config.dialect.check_resource("leads")
        return Leads(self._send, self._paginate)

    @property
    def bulk(self) -> Bulk:
        """The jobs of many calls; they stand in the bulk lane unless `with_options` chose one."""
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
            account=f"{config.base_url} {key_hash(config.api_key.reveal())}",
            lane=self._explicit_lane or chosen_lane() or "bulk",
            client=self._pipeline,
            stats=self._pipeline.stats,
        )
        return Bulk(ground)

    @property
    def tasks(self) -> Tasks:
        """The calls about tasks."""
        self._settings.config.dialect.check_resource("tasks")
        return Tasks(self._send, self._paginate)

    @property
    def pipelines(self) -> Pipelines:
        """The call about pipelines, their stages and the lost reasons."""
        self._settings.config.dialect.check_resource("pipelines")
        return Pipelines(self._send, self._emit)

    @property
    def custom_fields(self) -> CustomFields:
        """The call about the definitions of custom fields."""
        self._settings.config.dialect.check_resource("custom_fields")
        return CustomFields(self._send, self._emit)

    @property
    def whatsapp(self) -> WhatsApp:
        """The calls about WhatsApp numbers and templates."""
        self._settings.config.dialect.check_resource("whatsapp")
        return WhatsApp(self._send, self._emit)

    @property
    def account(self) -> Account:
        """The call about the account behind the key."""
        self._settings.config.dialect.check_resource("account")
        return Account(self._send)

    @property
    def users(self) -> Users:
        """The call about the members of the account."""
        self._settings.config.dialect.check_resource("users")
        return Users(self._send, self._emit)

    @property
    def webhooks(self) -> Webhooks:
        """The calls about webhook subscriptions."""
        self._settings.config.dialect.check_resource("webhooks")
        return Webhooks(self._send, self._emit)

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

        `dialect` may differ from the client's in its headers, parameters and paging, for example
        `ROUTEMCP.with_options(end_user_id=…)`.

        It shares the connections and the budget; closing it closes nothing. Raises
        `ConfigurationError` for options that cannot work.
        """
        given = {"lane": lane, "max_wait": max_wait, "timeout": timeout, "retry": retry}
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not _UNCHANGED
        }
        config = self._settings.config
        if dialect is not _UNCHANGED:
            config = replace(config, dialect=check_dialect_variant(config.dialect, dialect))
            changes["headers"] = dialect.headers
        options = checked_options(structs.replace(self._settings.options, **changes))
        view = copy.copy(self)
        vars(view).update(
            _settings=Settings(config, options),
            _explicit_lane=self._explicit_lane if lane is _UNCHANGED else lane,
            _owns_pipeline=False,
        )
        return view

    def budget(self) -> Budget:
        """How the key's budget stands, as far as this process knows.

        That is right now, unless the limiter is shared: then as of the last request or
        `refresh_budget()`.
        """
        return self._limiter.budget()

    async def refresh_budget(self) -> Budget:
        """Ask the limiter for the current budget; sends no request and takes no slot.

        Raises `ConnectionFailedError` when a shared limiter's store is out of reach.
        """
        await self._limiter.refresh()
        return self._limiter.budget()

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        type: None = None,
    ) -> Any: ...
    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        type: type[T],
    ) -> T: ...
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        type: type[Any] | None = None,
    ) -> Any:
        """Call any endpoint through the same budget, retries and errors.

        `path` is relative to the base URL (`/tasks`); an absolute URL is accepted when it lies
        under the base URL. In `params` a list repeats its name with `[]` and None is left out; in
        `json` None is null.
        Returns the whole decoded body, its envelope included: plain objects (None for an empty
        body), or an instance of `type` where that is given. GET, PUT and DELETE count as safe to
        send again, POST and PATCH do not.

        Raises `ValueError` for a path that leaves the base URL and for a method or values that
        cannot be sent, and the errors of `syncro_async.errors`.
        """
        verb = method.upper()
        if not _METHOD.fullmatch(verb):
            raise ValueError(f"method={method!r} is no HTTP method")
        call: Call[Any] = Call(
            verb,
            relative_path(path, self._settings.config.base_url),
            decode_any if type is None else decoder_for(type),
            idempotent=verb in _REPEATABLE,
            query=query_string(params or {}),
            body=None if json is None else encode_body(json),
        )
        return await self._send(call)

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

    def __repr__(self) -> str:
        settings: Settings | None = vars(self).get("_settings")
        if settings is None:  # a traceback shows it while it is being made
            return "<AsyncClient>"
        return f"<AsyncClient {settings.config.base_url} lane={settings.options.lane}>"

    async def _send(self, call: Call[T], /) -> T:
        settings = self._settings
        standing = settings.config.dialect.params
        if standing:
            call = structs.replace(call, query=merge_default_params(call.query, standing))
        options = settings.options
        lane = self._explicit_lane or chosen_lane()
        if lane is not None:
            options = structs.replace(options, lane=lane)
        job = current_job(self._pipeline)
        if job is not None:
            options = job.options(options, lane_chosen=lane is not None)
        return await self._pipeline(call, options)
