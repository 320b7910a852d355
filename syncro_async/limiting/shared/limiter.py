"""The limiter whose budget lies in a store, where other processes and hosts spend it too."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from syncro_async._internal.per_loop import PerLoop
from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError, ConnectionFailedError
from syncro_async.limiting.protocol import Budget, Lane, Slot, SlotOutcome
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.fallback import FallbackSession
from syncro_async.limiting.shared.messages import limits_of
from syncro_async.limiting.shared.session import StoreSession
from syncro_async.limiting.shared.store import Store, StoreUnreachableError


class SharedLimiter:
    """Keeps the rule of `slots` for one key, together with everybody who names the same store.

    `key` stands for base URL and API key; `timeout` is how long a request may last (s). In an
    outage of the store calls fail, or with `local_share` they spend that part of the budget.
    The store is closed with the limiter.
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
    ) -> None:
        self._store = store
        self._rates = tuple(rates)
        self._clock = clock
        self._newest: StoreSession | None = None

        def desk() -> StoreSession:
            if local_share is None:
                return StoreSession(store, key, limits_of(self._rates), timeout, clock)
            return FallbackSession(store, key, self._rates, timeout, clock, share=local_share)

        self._sessions = PerLoop(desk, StoreSession.aclose)

    @property
    def rates(self) -> tuple[RateLimit, ...]:
        """The limits it keeps."""
        return self._rates

    async def acquire(
        self, lane: Lane, *, max_wait: float | None = None, requeued: bool = False
    ) -> Slot:
        """Wait for the right to send one request, and take it.

        Raises `ConnectionFailedError` when the store has been unreachable for 2 s and there is no
        local share to live on.
        """
        try:
            return await self._session().acquire(lane, max_wait=max_wait, requeued=requeued)
        except StoreUnreachableError as error:
            raise _unreachable(error) from None

    def is_valid(self, slot: Slot) -> bool:
        """Whether a slot may still be used; False once a 429 is known to have closed the gate."""
        return self._session().is_valid(slot)

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        """Say what became of the request; the slot's clock starts accordingly."""
        # Closed, or its event loop has gone: the store takes the slot for a dead one's.
        with suppress(ConfigurationError, RuntimeError):
            await self._session().release(slot, outcome)

    def budget(self) -> Budget:
        """A snapshot, as the store told it when it was visited last; `refresh` visits it anew."""
        desk = self._newest
        if desk is None or desk.forecast is None:
            tightest = min(self._rates, key=lambda rate: rate.calls)
            return Budget(tightest.calls, tightest.seconds, tightest.calls, 0, 0, 0.0)
        return desk.forecast.budget(self._rates, desk.waiting_here(), self._clock.monotonic())

    async def refresh(self) -> None:
        """Have `budget()` be true now. Raises `ConnectionFailedError` in an outage."""
        try:
            await self._session().synced()
        except StoreUnreachableError as error:
            raise _unreachable(error) from None

    async def aclose(self) -> None:
        """Tell the store the last news and close it; calls that wait are turned away."""
        try:
            await self._sessions.aclose()
        finally:
            await self._store.aclose()

    # Made of a URL for one client, it ends with that client.
    end_with_client = aclose

    def _session(self) -> StoreSession:
        desk = self._newest = self._sessions.get()
        return desk


def _unreachable(error: StoreUnreachableError) -> ConnectionFailedError:
    # What another attempt could bring has been waited for: `permanent` as far as a call goes.
    told = f"{error}; without the shared budget nothing is sent"
    return ConnectionFailedError(told, permanent=True)
