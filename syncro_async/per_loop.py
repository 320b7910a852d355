"""One value for each event loop: what belongs to a loop is never used on another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from syncro_async.errors import ConfigurationError

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Makes the value on first use in a loop; `close` ends it, in its own loop.

    Event loops in several threads may use it at the same time.
    """

    def __init__(
        self, make: Callable[[], T], close: Callable[[T], Coroutine[Any, Any, None]]
    ) -> None:
        self._make = make
        self._close = close
        self._lock = threading.Lock()
        self._values: dict[asyncio.AbstractEventLoop, T] = {}
        self._closed = False

    def here(self) -> T:
        """The value of the running loop. Raises `ConfigurationError` once closed."""
        loop = asyncio.get_running_loop()
        value = self._values.get(loop)
        if value is not None:
            return value
        with self._lock:
            if self._closed:
                raise client_is_closed()
            # What a closed loop leaves behind went with it: its tasks were cancelled at its end.
            for gone in [other for other in self._values if other.is_closed()]:
                del self._values[gone]
            value = self._values[loop] = self._make()
        return value

    async def aclose(self) -> None:
        """Close every value whose loop still runs; again is harmless."""
        with self._lock:
            self._closed = True
            values, self._values = self._values, {}
        own = asyncio.get_running_loop()
        await asyncio.gather(
            *(
                self._close(value) if loop is own else _in_its_loop(loop, self._close, value)
                for loop, value in values.items()
            )
        )


def client_is_closed() -> ConfigurationError:
    """The error of whoever uses a client after its end."""
    return ConfigurationError("this client is closed; make a new one")


async def _in_its_loop(
    loop: asyncio.AbstractEventLoop, close: Callable[[T], Coroutine[Any, Any, None]], value: T
) -> None:
    """Have another thread's loop close its value; one that has ended took it along."""
    if not loop.is_running():
        return
    closing = close(value)
    try:
        ending = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(closing, loop))
    except RuntimeError:  # the loop was closed this very moment
        closing.close()
        return
    # Not `await ending`: when that loop ends first, its cancellation is not ours.
    await asyncio.wait((ending,))
    if not ending.cancelled():
        ending.result()
