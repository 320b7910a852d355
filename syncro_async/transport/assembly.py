"""Puts the journey of a request together: decode(retry(limit(judge(pool))))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from syncro_async.clock import Clock
from syncro_async.dialects.dialect import Dialect
from syncro_async.events import Observers
from syncro_async.limiting.limiter import Limiter
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.transport.api_key import ApiKey
from syncro_async.transport.decode_stage import DecodeStage
from syncro_async.transport.exchange import Call, CallOptions
from syncro_async.transport.http_pool import HttpPool, Transport
from syncro_async.transport.judge_stage import JudgeStage
from syncro_async.transport.limit_stage import LimitStage
from syncro_async.transport.per_loop import PerLoop
from syncro_async.transport.retry_stage import RetryStage
from syncro_async.transport.sends import Sends

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
    """A call goes in, its result comes out; opened on first use, closed once."""

    def __init__(self, wiring: Wiring, limiter: Limiter, observers: Observers) -> None:
        dialect, clock = wiring.dialect, wiring.clock
        headers = {
            "accept": "application/json",
            "user-agent": wiring.user_agent,
            dialect.key_header: dialect.key_scheme + wiring.api_key.reveal(),
        }
        self._pool = HttpPool(
            wiring.base_url,
            headers,
            api_key=wiring.api_key,
            max_connections=wiring.max_connections,
            transport=wiring.transport,
            clock=clock,
        )
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
        )
        retry = RetryStage(limit, clock, observers)
        self._decode = DecodeStage(retry, judge)

    async def __call__(self, call: Call[T], options: CallOptions) -> T:
        """Make the call."""
        return await self._decode(call, options)

    async def aclose(self) -> None:
        """Follow what is on the wire to its end, then close the connections."""
        try:
            await self._sends.aclose()
        finally:
            await self._pool.aclose()
