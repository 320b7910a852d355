"""Finds the one store that this process keeps for a URL: all its limiters work on it."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from syncro_async._internal.forks import register_for_fork
from syncro_async._internal.per_loop import PerLoop
from syncro_async.clock import Clock
from syncro_async.limiting.shared.messages import SyncRequest, SyncResponse


class Store(Protocol):
    """Holds the state of many keys; every visit is atomic across processes."""

    async def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
        """Apply `state.attend` to the key's state on the store's own clock.

        `key` is a hash of base URL and API key. Raises `ConfigurationError` when the state was
        made with other limits and is in use, `StoreUnreachableError` when the store does not
        answer.
        """

    async def aclose(self) -> None:
        """Let go of files and connections; harmless when never opened."""


class StoreUnreachableError(Exception):
    """The store did not answer; what was decided there, if anything, is unknown."""


_Identity = tuple[Path | str, Clock]


class StoreHandle:
    """A store among others who use it; in each event loop the last of them closes it."""

    def __init__(self, identity: _Identity, make: Callable[[], Store]) -> None:
        with _registry.lock:
            shared = _registry.known.get(identity)
            if shared is None:
                shared = _registry.known[identity] = _Shared(make())
        self._shared = shared
        self._uses = PerLoop(shared.begin, shared.end)

    async def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
        """See `Store.attend`. Raises `ConfigurationError` once closed."""
        if self._uses.get().ended:
            raise StoreUnreachableError("the event loop is ending")
        return await self._shared.store.sync(key, visit)

    async def aclose(self) -> None:
        """Leave the store to the others; harmless when done before."""
        await self._uses.aclose()


@dataclass(eq=False, slots=True)
class _Use:
    """A lease in an event loop; it may end with the loop before those who have it know."""

    loop: asyncio.AbstractEventLoop
    ended: bool = False


class _Shared:
    """A store, and how many leases are in use in each event loop."""

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
    """All stores there are; whoever has a lease holds its store."""

    def __init__(self) -> None:
        self.known: weakref.WeakValueDictionary[_Identity, _Shared] = weakref.WeakValueDictionary()
        self.reset_after_fork()
        register_for_fork(self)

    def reset_after_fork(self) -> None:
        """A forked child has a lock of its own; the parent's may be held there for ever."""
        self.lock = threading.Lock()


_registry = _Registry()
