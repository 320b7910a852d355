"""Keeps one transport for each connection of an event loop, and gives out the last one used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from syncro_async.clock import Clock

# Many servers drop a connection that was idle for 5 s; leaving first avoids writing into the gap.
KEEP_ALIVE = 4.0


class Closable(Protocol):
    """What a row is made of."""

    async def aclose(self) -> None:
        """Close the connection."""


T = TypeVar("T", bound=Closable)


class Row(Generic[T]):
    """Transports that hold a connection each.

    One pool for all of them costs more with every connection it holds: httpcore looks at each of
    them for each request. Whoever takes a transport has it alone, so what went wrong on it is
    thrown away with it.
    """

    def __init__(self, make: Callable[[], T], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._taken: set[T] = set()
        # With the moment since which each is idle, the longest idle first.
        self._idle: deque[tuple[float, T]] = deque()
        self._closed = False

    def take(self) -> T:
        """A transport for one request: the one that was used last, or a new one."""
        transport = self._idle.pop()[1] if self._idle else self._make()
        self._taken.add(transport)
        return transport

    async def give_back(self, transport: T) -> None:
        """The request is over, and all of its answer was read."""
        if self._closed:
            await self.throw_away(transport)
            return
        now = self._clock.monotonic()
        self._taken.discard(transport)
        self._idle.append((now, transport))
        # While one is closed, other calls take from the row and give back.
        while self._idle and self._idle[0][0] < now - KEEP_ALIVE:
            await self._idle.popleft()[1].aclose()

    async def throw_away(self, transport: T) -> None:
        """Nobody knows what may still come on this connection."""
        try:
            await transport.aclose()
        finally:
            self._taken.discard(transport)

    async def aclose(self) -> None:
        """Close all of them, also those that are in use."""
        self._closed = True
        while self._idle or self._taken:
            transport = self._idle.pop()[1] if self._idle else self._taken.pop()
            await transport.aclose()


class Lent(Row[T]):
    """A caller's own transport, which keeps as many connections as it likes."""

    def __init__(self, transport: T, clock: Clock) -> None:
        super().__init__(lambda: transport, clock)

    def take(self) -> T:
        """The transport."""
        return self._make()

    async def give_back(self, transport: T) -> None:
        """Leave it to itself."""

    async def throw_away(self, transport: T) -> None:
        """Leave it to itself."""

    async def aclose(self) -> None:
        """Close it."""
        await self._make().aclose()
