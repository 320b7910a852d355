"""The limiter whose budget is kept in a store that several processes and hosts share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from syncro_async._internal.per_loop import PerLoop
from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError, ConnectionFailedError
from syncro_async.limiting.budget.messages import limits_of
from syncro_async.limiting.protocol import Budget, Lane, Slot, SlotOutcome
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.fallback import FallbackSession
from syncro_async.limiting.shared.session import StoreSession
from syncro_async.limiting.shared.store import Store, StoreUnreachableError


class SharedLimiter:
    """Applies the slot rule to one key, together with all processes that use the same store.

    `key` is the hash of base URL and API key. `timeout` is how long a request may last (s). While
    the store is out of reach, calls fail; with `local_share` they use that part of the budget, once
    a whole window has passed. A new state of the store stays closed for `new_state_pause` seconds,
    because the store may have lost an earlier one. The store is closed with the limiter.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        rates: Sequence[RateLimit],
        *,
        timeout: float,
        clock: Clock,
        local_share: float | None = None,
        new_state_pause: float = 0.0,
    ) -> None:
        self._store = store
        self._rates = tuple(rates)
        self._clock = clock
        self._newest: StoreSession | None = None

        def session() -> StoreSession:
            if local_share is None:
                limits = limits_of(self._rates)
                return StoreSession(
                    store, key, limits, timeout, clock, new_state_pause=new_state_pause
                )
            return FallbackSession(
                store,
                key,
                self._rates,
                timeout,
                clock,
                share=local_share,
                new_state_pause=new_state_pause,
            )

        self._sessions = PerLoop(session, StoreSession.aclose)

    @property
    def rates(self) -> tuple[RateLimit, ...]:
        """The limits it keeps."""
        return self._rates

    async def acquire(
        self, lane: Lane, *, max_wait: float | None = None, requeued: bool = False
    ) -> Slot:
        """Wait for the right to send one request, and take it.

        Raises `ConnectionFailedError` when the store has been out of reach for 2 s and the limiter
        has no local share.
        """
        try:
            return await self._session().acquire(lane, max_wait=max_wait, requeued=requeued)
        except StoreUnreachableError as error:
            raise _unreachable(error) from None

    def is_valid(self, slot: Slot) -> bool:
        """Whether a slot may still be used; False after a 429 has paused the key."""
        return self._session().is_valid(slot)

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        """Report the outcome of the request; it decides when the slot returns."""
        # After the end of the client or its event loop, the lease expires in the store.
        with suppress(ConfigurationError, RuntimeError):
            await self._session().release(slot, outcome)

    def budget(self) -> Budget:
        """A snapshot of the last synchronisation; `refresh` makes a new one."""
        session = self._newest
        if session is None or session.forecast is None:
            tightest = min(self._rates, key=lambda rate: rate.calls)
            return Budget(tightest.calls, tightest.seconds, tightest.calls, 0, 0, 0.0)
        return session.forecast.budget(self._rates, session.waiting_here(), self._clock.monotonic())

    async def refresh(self) -> None:
        """Synchronise, so that `budget()` is current. Raises `ConnectionFailedError` in outages."""
        try:
            await self._session().synced()
        except StoreUnreachableError as error:
            raise _unreachable(error) from None

    async def aclose(self) -> None:
        """Report the last outcomes to the store and close it; waiting calls are rejected."""
        try:
            await self._sessions.aclose()
        finally:
            await self._store.aclose()

    # A limiter that was made from a URL belongs to one client and ends with it.
    end_with_client = aclose

    def _session(self) -> StoreSession:
        session = self._newest = self._sessions.get()
        return session


def _unreachable(error: StoreUnreachableError) -> ConnectionFailedError:
    # The session has already waited for the store, so the call does not try again.
    reported = f"{error}; nothing was sent, because the shared budget is unknown"
    return ConnectionFailedError(reported, permanent=True, of_limiter=True)
