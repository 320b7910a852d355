"""Finds the one store that this process keeps for a URL: all its limiters work on it."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from syncro_async.clock import Clock
from syncro_async.limiting.shared.store import Store
from syncro_async.limiting.shared.visits import Ruling, Visit
from syncro_async.per_loop import PerLoop

_Identity = tuple[Path | str, Clock]


class Lease:
    """A store among others who use it; in each event loop the last of them closes it."""

    def __init__(self, identity: _Identity, make: Callable[[], Store]) -> None:
        with _lock:
            shared = _known.get(identity)
            if shared is None:
                shared = _known[identity] = _Shared(make())
        self._shared = shared
        self._uses = PerLoop(shared.begin, shared.end)

    async def attend(self, key: str, visit: Visit) -> Ruling:
        """See `Store.attend`. Raises `ConfigurationError` once closed."""
        self._uses.here()
        return await self._shared.store.attend(key, visit)

    async def aclose(self) -> None:
        """Leave the store to the others; harmless when done before."""
        await self._uses.aclose()


class _Shared:
    """A store, and how many leases are in use in each event loop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.used_in: Counter[asyncio.AbstractEventLoop] = Counter()

    def begin(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        with _lock:
            for gone in [other for other in self.used_in if other.is_closed()]:
                del self.used_in[gone]
            self.used_in[loop] += 1
        return loop

    async def end(self, loop: asyncio.AbstractEventLoop) -> None:
        with _lock:
            self.used_in[loop] -= 1
            if self.used_in[loop]:
                return
            del self.used_in[loop]
        await self.store.aclose()


_lock = threading.Lock()
# Whoever has a lease holds it.
_known: weakref.WeakValueDictionary[_Identity, _Shared] = weakref.WeakValueDictionary()
