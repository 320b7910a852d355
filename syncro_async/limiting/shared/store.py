"""Holds the one store that this process uses for a URL, for all its limiters."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
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
        """Apply `state.sync` to the state of the key, with the clock of the store.

        `key` is the hash of base URL and API key. Raises `ConfigurationError` when the state was
        made with other limits and is in use, and `StoreUnreachableError` when the store does not
        answer.
        """

    async def aclose(self) -> None:
        """Close files and connections; does nothing when they were never opened."""


class StoreUnreachableError(Exception):
    """The store did not answer; it may have applied the request all the same."""


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
        return await self._store().sync(key, request)

    async def claim_job(self, claim: JobClaim) -> float:
        """See `JobStore.claim_job`. Raises `ConfigurationError` once closed."""
        # Every store that a URL names keeps job leases too.
        return await cast("JobStore", self._store()).claim_job(claim)

    async def aclose(self) -> None:
        """End this reference; does nothing when it has ended."""
        await self._uses.aclose()

    def _store(self) -> Store:
        if self._uses.get().ended:
            raise StoreUnreachableError("the event loop is ending")
        return self._shared.store


@dataclass(eq=False, slots=True)
class _Use:
    """A reference in one event loop; `ended` also when the loop ends first."""

    loop: asyncio.AbstractEventLoop
    ended: bool = False


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
