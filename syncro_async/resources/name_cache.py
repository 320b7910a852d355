"""Keeps the lists of names for a while: each of them costs a sixtieth of a minute's budget."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from syncro_async._internal.per_loop import PerLoop
from syncro_async.clock import Clock
from syncro_async.resources.arguments import flag

T = TypeVar("T")
R = TypeVar("R")

# How long a list is used (s). A name that it lacks is looked for in a new one.
MAX_AGE = 60.0


class NameCache:
    """The newest list of each kind, for all calls of a client and of its views.

    Calls that need a list at the same time share one request.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, Any]] = {}
        # Made on first use: a program may hold thousands of clients.
        self._locks: PerLoop[defaultdict[str, asyncio.Lock]] | None = None

    async def look_up(
        self,
        kind: str,
        fetch: Callable[[], Awaitable[T]],
        find: Callable[[T], R],
        *,
        refresh: bool,
    ) -> R:
        """What `find` finds in the list, which is fetched where it is missing or too old.

        `refresh` fetches it in any case. Raises what `find` raises, only for a list that was
        fetched after the look-up began, and `InvalidArgumentError` for a `refresh` that is no bool.
        """
        anew = flag("refresh", refresh)
        began = self._clock.monotonic()
        kept = self._kept.get(kind)
        if not anew and kept is not None and began - kept[0] < MAX_AGE:
            try:
                return find(kept[1])
            except LookupError:
                pass  # it may be new
        if self._locks is None:
            self._locks = PerLoop(_new_locks, _nothing_to_close)
        async with self._locks.get()[kind]:
            newest = self._kept.get(kind)
            if newest is not None and newest is not kept:
                return find(newest[1])  # another look-up fetched it meanwhile
            found = await fetch()
            self._kept[kind] = self._clock.monotonic(), found
            return find(found)


def _new_locks() -> defaultdict[str, asyncio.Lock]:
    return defaultdict(asyncio.Lock)


async def _nothing_to_close(_: defaultdict[str, asyncio.Lock]) -> None:
    """Locks have nothing to close."""
