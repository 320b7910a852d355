"""Makes calls with keys that a function gives, and asks it again when a key is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import TypeVar, cast

from syncro_async._internal.per_loop import PerLoop, client_is_closed
from syncro_async.errors import AuthenticationError, ConfigurationError, SyncroError
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Limiter
from syncro_async.retrying.policy import RetryPolicy
from syncro_async.retrying.quota import RetryQuota
from syncro_async.transport.http_engine import Lender
from syncro_async.transport.messages import Call, CallOptions, SendStats
from syncro_async.transport.pipeline import ClientConfig, Pipeline
from syncro_async.transport.redaction import ApiKey

T = TypeVar("T")

AskKey = Callable[[], str | Awaitable[str]]

# The key of a client's settings as long as its function has not been asked; no request has it.
NOT_ASKED = ApiKey("not-asked-yet")


@dataclass(eq=False, slots=True)
class _Keyed:
    """A key, the pipeline that sends it, and how many calls are on their way in it."""

    key: ApiKey
    pipeline: Pipeline
    calls: int = 0


class RotatingPipeline:
    """Has a pipeline, with a budget, for each key, and uses that of the newest key.

    `ask` gives the key, directly or as an awaitable, and `check` makes an `ApiKey` of it. It is
    asked before the first call, and once for a call that is answered with 401; calls that are
    refused together share one answer. With another key the call is sent again: a 401 proves that
    it was not processed. The pipeline of an old key is closed after its last call.
    """

    def __init__(
        self,
        ask: AskKey,
        check: Callable[[object], ApiKey],
        make: Callable[[ApiKey], Pipeline],
        config: ClientConfig,
    ) -> None:
        self._ask = ask
        self._check = check
        self._make = make
        self._config = config
        self._current: _Keyed | None = None
        self._all: set[_Keyed] = set()
        self._asked = 0
        self._locks = PerLoop(asyncio.Lock, _nothing_to_close)
        self._closed = False
        self._lent = PerLoop(Lender(config.wire, config.clock), lambda pool: pool.aclose())

    async def __call__(self, call: Call[T], options: CallOptions) -> T:
        """Make the call. Raises `ConfigurationError` once closed, or without a usable key."""
        if self._closed:
            raise client_is_closed(call.method, call.path)
        if self._config.wire.transport is not None:
            self._lent.get()
        keyed = self._current or await self._renew(None)
        try:
            return await self._use(keyed, call, options)
        except AuthenticationError as error:
            refused = error
        renewed = await self._renew(keyed)
        if renewed.key == keyed.key:
            raise refused
        return await self._use(renewed, call, options)

    @property
    def limiter(self) -> Limiter:
        """The limiter of the newest key; before any, one that nothing has used."""
        if self._current is None:
            return InProcessLimiter(self._config.rates, self._config.clock)
        return self._current.pipeline.limiter

    @property
    def is_closed(self) -> bool:
        """Whether its client was closed."""
        return self._closed

    @property
    def stats(self) -> SendStats:
        """What all calls with the newest key have sent."""
        return SendStats() if self._current is None else self._current.pipeline.stats

    def retries_left(self, policy: RetryPolicy) -> int | None:
        """How many retries are in stock with the newest key; None: without a quota."""
        if self._current is None:
            return RetryQuota().left(policy)
        return self._current.pipeline.retries_left(policy)

    async def ready(self) -> None:
        """Ask for the key if that has not happened yet."""
        if self._current is None:
            await self._renew(None)

    async def aclose(self) -> None:
        """Close the pipelines of all keys."""
        self._closed = True
        for keyed in [*self._all]:
            await keyed.pipeline.aclose()
        await self._lent.aclose()
        await self._locks.aclose()

    async def _use(self, keyed: _Keyed, call: Call[T], options: CallOptions) -> T:
        keyed.calls += 1
        try:
            return await keyed.pipeline(call, options)
        finally:
            keyed.calls -= 1
            await self._close_unused(keyed)

    async def _close_unused(self, keyed: _Keyed) -> None:
        if keyed is not self._current and not keyed.calls and keyed in self._all:
            self._all.discard(keyed)
            await keyed.pipeline.aclose()

    async def _renew(self, refused: _Keyed | None) -> _Keyed:
        """The pipeline of another key than the refused one; the same where the function has none.

        A call that waited while another one asked takes that answer, which is newer than its 401.
        """
        asked_before = self._asked
        async with self._locks.get():
            current = self._current
            if current is not None and (current is not refused or self._asked > asked_before):
                return current
            self._asked += 1
            key = await self._ask_key()
            if refused is not None and key == refused.key:
                return refused
            keyed = self._current = _Keyed(key, self._make(key))
            self._all.add(keyed)
        if refused is not None:
            await self._close_unused(refused)
        return keyed

    async def _ask_key(self) -> ApiKey:
        try:
            given: object = self._ask()
            if isawaitable(given):
                given = await given
        except SyncroError:
            raise
        except asyncio.CancelledError:
            if cast("asyncio.Task[object]", asyncio.current_task()).cancelling():
                raise  # it is the caller's
            raise ConfigurationError(
                "the function given as api_key was cancelled by itself, for example while it waited"
                " for a task of another call; make it give a key, or raise an error that says why"
            ) from None
        except Exception as error:  # noqa: BLE001  # any code may be behind the function
            raise ConfigurationError(
                f"the function given as api_key raised {type(error).__name__}, which is the cause"
            ) from error.with_traceback(None)
        try:
            return self._check(given)
        finally:
            del given  # an error's traceback holds this frame


async def _nothing_to_close(_: asyncio.Lock) -> None:
    """A lock has nothing to close."""
