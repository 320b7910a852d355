"""Tells the observers when a call begins, and how it ended."""

from __future__ import annotations

from typing import TypeVar

from syncro_async.clock import Clock
from syncro_async.events import CallEnded, CallStarted, Observers
from syncro_async.transport.decode_stage import DecodeStage
from syncro_async.transport.exchange import Call, CallOptions

T = TypeVar("T")


class WatchStage:
    """Stands around the whole journey while somebody listens; otherwise it is left out."""

    def __init__(
        self, make: DecodeStage, base_url: str, clock: Clock, observers: Observers
    ) -> None:
        self._make = make
        self._base_url = base_url
        self._clock = clock
        self._tell = observers

    async def __call__(self, call: Call[T], options: CallOptions) -> T:
        """Make the call, between the two events."""
        begun = self._clock.monotonic()
        self._tell(CallStarted(call.method, call.path, self._base_url, options.lane, begun))
        error = None
        try:
            return await self._make(call, options)
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            now = self._clock.monotonic()
            self._tell(CallEnded(call.method, call.path, error, now, now - begun))
