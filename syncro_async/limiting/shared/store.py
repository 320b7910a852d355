"""Keeps one store for each URL, which all limiters of this process share."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from syncro_async._internal.forks import register_for_fork
from syncro_async._internal.per_loop import PerLoop
from syncro_async.clock import Clock
from syncro_async.limiting.budget.messages import SyncRequest, SyncResponse
from syncro_async.limiting.shared.job_lease import JobClaim, JobStore


class Store(Protocol):
    """Keeps the state of many keys; every synchronisation is atomic across processes."""

    async def sync(self, key: str, request: SyncRequest) -> SyncResponse:
        """Apply `budget.sync.sync` to the state of the key, with the clock of the store.

        `key` is the hash of base URL and API key. Raises `ConfigurationError` when the state was
        made with other limits and is in use, and `StoreUnreachableError` when the store does not
        answer.
        """

    async def aclose(self) -> None:
        """Close files and connections; does nothing when they were never opened."""


class StoreUnreachableError(Exception):
    """The store did not answer; it may have applied the request all the same."""


# How long the last reference waits for reports when its event loop ends (s).
_REPORTING = 2.0

_Identity = tuple[Path | str, Clock]


class StoreHandle:
    """A reference to a store; in each event loop the last reference closes it."""

    def __init__(self, identity: _Identity, make: Callable[[], Store]) -> None:
        with _registry.lock:
            shared = _registry.known.get(identity)
            if shared is None:
                shared = _registry.known[identity] = _Shared(make())
        self._shared = shared
        self._uses = PerLoop(shared.begin, shared.end)

    async def sync(self, key: str, request: SyncRequest) -> SyncResponse:
        """See `Store.sync`. Raises `ConfigurationError` once closed."""
        use = self._open_use()
        use.owners.add(request.owner)
        try:
            return await self._shared.store.sync(key, request)
        finally:
            if request.closes:
                use.owners.discard(request.owner)
                if use.is_idle is not None and not use.owners and not use.is_idle.done():
                    use.is_idle.set_result(None)

    async def claim_job(self, claim: JobClaim) -> float:
        """See `JobStore.claim_job`. Raises `ConfigurationError` once closed."""
        self._open_use()
        # Every store that a URL names keeps job leases too.
        return await cast("JobStore", self._shared.store).claim_job(claim)

    async def aclose(self) -> None:
        """End this reference; does nothing when it has ended."""
        await self._uses.aclose()

    def _open_use(self) -> _Use:
        use = self._uses.get()
        if use.ended:
            raise StoreUnreachableError("the event loop is ending")
        return use


@dataclass(eq=False, slots=True)
class _Use:
    """A reference in one event loop; `ended` is also set when the loop ends first.

    `owners` still have something to report; `is_idle` is done when none is left.
    """

    loop: asyncio.AbstractEventLoop
    ended: bool = False
    owners: set[str] = field(default_factory=set)
    is_idle: asyncio.Future[None] | None = None


class _Shared:
    """A store, and its number of references in each event loop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.used_in: Counter[asyncio.AbstractEventLoop] = Counter()

    def begin(self) -> _Use:
        loop = asyncio.get_running_loop()
        with _registry.lock:
            for gone in [other for other in self.used_in if other.is_closed()]:
                del self.used_in[gone]
            self.used_in[loop] += 1
        return _Use(loop)

    async def end(self, use: _Use) -> None:
        if use.owners:
            # The event loop ends, and closes the sessions at the same time. Without their last
            # reports the slots of their calls would count as in flight for a long time.
            use.is_idle = asyncio.get_running_loop().create_future()
            await asyncio.wait({use.is_idle}, timeout=_REPORTING)
        use.ended = True
        with _registry.lock:
            self.used_in[use.loop] -= 1
            if self.used_in[use.loop]:
                return
            del self.used_in[use.loop]
        await self.store.aclose()


class _Registry:
    """The stores of this process, held weakly."""

    def __init__(self) -> None:
        self.known: weakref.WeakValueDictionary[_Identity, _Shared] = weakref.WeakValueDictionary()
        self.reset_after_fork()
        register_for_fork(self)

    def reset_after_fork(self) -> None:
        """Use a new lock in a forked child; a thread of the parent may hold the old one."""
        self.lock = threading.Lock()


_registry = _Registry()
