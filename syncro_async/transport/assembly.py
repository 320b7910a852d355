"""Puts the journey of a request together: decode(retry(limit(judge(pool))))."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from syncro_async.clock import Clock
from syncro_async.dialects.dialect import Dialect
from syncro_async.events import Observers
from syncro_async.limiting.limiter import Limiter
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.per_loop import PerLoop, client_is_closed
from syncro_async.transport.api_key import ApiKey
from syncro_async.transport.decode_stage import DecodeStage
from syncro_async.transport.exchange import Call, CallOptions
from syncro_async.transport.judge_stage import JudgeStage
from syncro_async.transport.limit_stage import LimitStage
from syncro_async.transport.retry_stage import RetryStage
from syncro_async.transport.sends import Sends
from syncro_async.transport.tally import Tally
from syncro_async.transport.watch_stage import WatchStage

if TYPE_CHECKING:
    from syncro_async.transport.http_pool import HttpPool, Transport

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wiring:
    """The part of the settings that is fixed for the life of a client."""

    api_key: ApiKey
    base_url: str
    dialect: Dialect
    rates: tuple[RateLimit, ...]
    max_connections: int
    transport: Transport | None
    clock: Clock
    user_agent: str


class Journey:
    """A call goes in, its result comes out; built and opened on first use, closed once.

    A program may hold thousands of clients, one for each account, and use a few at a time.
    """

    __slots__ = (
        "__weakref__",
        "_built",
        "_close_limiter",
        "_closed",
        "_limiter",
        "_observers",
        "_wiring",
    )

    def __init__(self, wiring: Wiring, limiter: Limiter, observers: Observers) -> None:
        _http_pool().check(wiring.base_url)  # imported now, so that no call has to wait for it
        self._wiring = wiring
        self._limiter = limiter
        # One that was given is its owner's to close.
        self._close_limiter = getattr(limiter, "end_with_client", None)
        self._observers = observers
        self._built: dict[str, _Stages] = {}
        self._closed = False

    async def __call__(self, call: Call[T], options: CallOptions) -> T:
        """Make the call. Raises `ConfigurationError` once closed."""
        if self._closed:
            raise client_is_closed(call.method, call.path)
        stages = self._stages
        make = stages.watched if self._observers else stages.decode
        return await make(call, options)

    @property
    def tally(self) -> Tally:
        """What all calls together have sent."""
        return self._stages.tally

    @property
    def _stages(self) -> _Stages:
        stages = self._built.get("stages")
        if stages is None:
            # Several threads may make their first call at the same moment: all use the same ones.
            new = _Stages(self._wiring, self._limiter, self._observers)
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


def _http_pool() -> type[HttpPool]:
    """Import httpx, which is most of what importing takes, for those only who make a client."""
    from syncro_async.transport.http_pool import HttpPool  # noqa: PLC0415

    return HttpPool


class _Stages:
    """The stages of a journey, with the connections and sends they use."""

    def __init__(self, wiring: Wiring, limiter: Limiter, observers: Observers) -> None:
        dialect, clock = wiring.dialect, wiring.clock
        self._base_url = wiring.base_url
        headers = {
            "accept": "application/json",
            "user-agent": wiring.user_agent,
            dialect.key_header: dialect.key_scheme + wiring.api_key.reveal(),
        }
        self._pool = _http_pool()(
            wiring.base_url,
            headers,
            api_key=wiring.api_key,
            transport=wiring.transport,
            clock=clock,
        )
        self.tally = Tally()
        self._sends = PerLoop(lambda: Sends(clock, wiring.max_connections), Sends.aclose)
        judge = JudgeStage(
            self._pool,
            dialect,
            wiring.rates,
            key=wiring.api_key,
            clock=clock,
            observers=observers,
        )
        limit = LimitStage(
            judge,
            limiter,
            self._sends,
            open_pool=self._pool.open,
            uncounted=dialect.uncounted,
            clock=clock,
            observers=observers,
            tally=self.tally,
        )
        self.decode = DecodeStage(RetryStage(limit, clock, observers), judge)
        self.watched = WatchStage(self.decode, wiring.base_url, clock, observers)

    async def aclose(self) -> None:
        """End the sends, then close the connections."""
        try:
            await self._sends.aclose()
        finally:
            await self._pool.aclose()

    def __del__(self, _warn: Callable[..., Any] = warnings.warn) -> None:
        """Say what was forgotten; the connections are closed all the same."""
        pool: HttpPool | None = vars(self).get("_pool")  # none where the making of it failed
        if pool is not None and pool.in_use:
            message = (
                f"a client of {self._base_url} was used and never closed: make it with"
                " `async with AsyncClient(…)`, or call `await client.aclose()` when you are done"
            )
            _warn(message, ResourceWarning, source=self)
