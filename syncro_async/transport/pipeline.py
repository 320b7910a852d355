"""Builds the stages of a call: observe, decode, retry, rate limit, response, engine."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from syncro_async._internal.per_loop import PerLoop, client_is_closed
from syncro_async.clock import Clock
from syncro_async.dialects.dialect import Dialect
from syncro_async.events import CallEnded, CallStarted, Observers
from syncro_async.limiting.protocol import Limiter
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.retrying.policy import RetryPolicy
from syncro_async.retrying.quota import RetryQuota
from syncro_async.transport.decode_stage import DecodeStage
from syncro_async.transport.http_engine import HttpEngine
from syncro_async.transport.messages import Call, CallOptions, SendStats
from syncro_async.transport.rate_limit_stage import RateLimitStage
from syncro_async.transport.redaction import ApiKey
from syncro_async.transport.response_stage import ResponseStage
from syncro_async.transport.retry_stage import RetryStage
from syncro_async.transport.send_tasks import SendTasks
from syncro_async.transport.wire import Wire

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The part of the settings that is fixed for the life of a client."""

    api_key: ApiKey
    base_url: str
    dialect: Dialect
    rates: tuple[RateLimit, ...]
    max_connections: int
    wire: Wire
    clock: Clock
    user_agent: str


class Pipeline:
    """A call goes in, its result comes out; built and opened on first use, closed once.

    A program may hold thousands of clients, one for each account, and use a few at a time.
    """

    __slots__ = (
        "__weakref__",
        "_built",
        "_close_limiter",
        "_closed",
        "_config",
        "_limiter",
        "_observers",
        "_quota",
    )

    def __init__(self, config: ClientConfig, limiter: Limiter, observers: Observers) -> None:
        config.wire.library.check_url(config.base_url)
        self._config = config
        self._limiter = limiter
        # One that was given is its owner's to close.
        self._close_limiter = getattr(limiter, "end_with_client", None)
        self._observers = observers
        self._built: dict[str, _Stages] = {}
        self._closed = False
        self._quota = RetryQuota()

    async def __call__(self, call: Call[T], options: CallOptions) -> T:
        """Make the call. Raises `ConfigurationError` once closed."""
        if self._closed:
            raise client_is_closed(call.method, call.path)
        stages = self._stages
        make = stages.watched if self._observers else stages.decode
        return await make(call, options)

    def retries_left(self, policy: RetryPolicy) -> int | None:
        """How many retries the client has in stock under that policy; None: without a quota."""
        return self._quota.left(policy)

    @property
    def limiter(self) -> Limiter:
        """The limiter that gives the calls their slots."""
        return self._limiter

    async def ready(self) -> None:
        """Do nothing: the key is known."""

    @property
    def is_closed(self) -> bool:
        """Whether its client was closed."""
        return self._closed

    @property
    def stats(self) -> SendStats:
        """What all calls together have sent."""
        return self._stages.stats

    @property
    def _stages(self) -> _Stages:
        stages = self._built.get("stages")
        if stages is None:
            # Several threads may make their first call at the same moment: all use the same ones.
            new = _Stages(self._config, self._limiter, self._observers, self._quota)
            stages = self._built.setdefault("stages", new)
        return stages

    async def aclose(self) -> None:
        """Follow what is on the wire to its end, then close the connections."""
        self._closed = True
        try:
            for stages in self._built.values():
                await stages.aclose()
        finally:
            if self._close_limiter is not None:
                await self._close_limiter()


class _Stages:
    """The stages of a journey, with the connections and sends they use."""

    def __init__(
        self, config: ClientConfig, limiter: Limiter, observers: Observers, quota: RetryQuota
    ) -> None:
        dialect, clock = config.dialect, config.clock
        self._base_url = config.base_url
        headers = {
            "accept": "application/json",
            "user-agent": config.user_agent,
            dialect.key_header: dialect.key_scheme + config.api_key.reveal(),
        }
        self._pool = HttpEngine(
            config.base_url,
            headers,
            api_key=config.api_key,
            wire=config.wire,
            clock=clock,
        )
        self.stats = SendStats()
        self._sends = PerLoop(lambda: SendTasks(clock, config.max_connections), SendTasks.aclose)
        responses = ResponseStage(
            self._pool,
            dialect,
            config.rates,
            key=config.api_key,
            clock=clock,
            observers=observers,
        )
        limit = RateLimitStage(
            responses,
            limiter,
            self._sends,
            open_pool=self._pool.open,
            uncounted=dialect.uncounted_statuses,
            clock=clock,
            observers=observers,
            tally=self.stats,
        )
        self.decode = DecodeStage(RetryStage(limit, quota, clock, observers), responses)
        self.watched = ObserveStage(self.decode, config.base_url, clock, observers)

    async def aclose(self) -> None:
        """End the sends, then close the connections."""
        try:
            await self._sends.aclose()
        finally:
            await self._pool.aclose()

    def __del__(self, _warn: Callable[..., Any] = warnings.warn) -> None:
        """Say what was forgotten; the connections are closed all the same."""
        pool: HttpEngine | None = vars(self).get("_pool")  # none where the making of it failed
        if pool is not None and pool.in_use:
            message = (
                f"a client of {self._base_url} was used and never closed: make it with"
                " `async with AsyncClient(…)`, or call `await client.aclose()` when you are done"
            )
            _warn(message, ResourceWarning, source=self)


class ObserveStage:
    """Surrounds all other stages when there are observers; otherwise it is left out."""

    def __init__(
        self, make: DecodeStage, base_url: str, clock: Clock, observers: Observers
    ) -> None:
        self._send = make
        self._base_url = base_url
        self._clock = clock
        self._emit = observers

    async def __call__(self, call: Call[T], options: CallOptions) -> T:
        """Make the call, between the two events."""
        begun = self._clock.monotonic()
        self._emit(CallStarted(call.method, call.path, self._base_url, options.lane, begun))
        error = None
        try:
            return await self._send(call, options)
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            now = self._clock.monotonic()
            self._emit(CallEnded(call.method, call.path, error, now, now - begun))
