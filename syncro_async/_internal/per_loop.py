"""One value for each event loop: what belongs to a loop is never used on another."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

from syncro_async._internal.forks import register_for_fork
from syncro_async.errors import ConfigurationError

T = TypeVar("T")

# What a forked child inherits is kept there for good: letting it go would run the finalizers of
# transports and loops that are still the parent's.
_inherited: list[object] = []


class PerLoop(Generic[T]):
    """Makes the value on first use in a loop; `close` ends it, in its own loop.

    It is closed by `aclose`, or when its loop ends, or when no object refers to it. Event loops
    in several threads may use it at the same time; a forked child begins without any value.
    """

    def __init__(
        self, make: Callable[[], T], close: Callable[[T], Coroutine[Any, Any, None]]
    ) -> None:
        self._make = make
        self._close = close
        self._lock = threading.Lock()
        self._values: dict[asyncio.AbstractEventLoop, _Kept[T]] = {}
        self._closed = False
        # The finalizer holds the values, so that they are closed before they are collected.
        weakref.finalize(self, _close_all_soon, self._values).atexit = False
        register_for_fork(self)

    def reset_after_fork(self) -> None:
        """Leave the values to the parent process."""
        self._lock = threading.Lock()
        _inherited.append(self._values.copy())
        self._values.clear()

    @property
    def in_use(self) -> bool:
        """Return whether there are values that are not closed."""
        return bool(self._values)

    def get(self) -> T:
        """The value of the running loop. Raises `ConfigurationError` once closed, or without one.

        In a child that was forked while a loop ran, that loop does not run any more.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(
                "no asyncio event loop runs here; a forked process needs one of its own,"
                " asyncio.run() makes it"
            ) from None
        kept = self._values.get(loop)
        if kept is not None:
            return kept.value
        with self._lock:
            if self._closed:
                raise client_is_closed()
            # What a closed loop leaves behind went with it: its tasks were cancelled at its end.
            for gone in [other for other in self._values if other.is_closed()]:
                del self._values[gone]
            kept = self._values[loop] = _Kept(self._make(), self._close)
        return kept.value

    async def aclose(self) -> None:
        """Close every value whose loop still runs; again is harmless."""
        with self._lock:
            self._closed = True
            values = self._values.copy()
            self._values.clear()
        own = asyncio.get_running_loop()
        await asyncio.gather(
            *(
                kept.aclose() if loop is own else _in_its_loop(loop, kept)
                for loop, kept in values.items()
            )
        )


def client_is_closed(method: str | None = None, path: str | None = None) -> ConfigurationError:
    """The error of a call on a closed client."""
    return ConfigurationError("this client is closed; make a new one", method=method, path=path)


class _Kept(Generic[T]):
    """A value that is closed with its event loop at the latest.

    At its end a loop closes the asynchronous generators that were begun in it and are not done;
    this is the only notice that a loop gives of its end.
    """

    def __init__(self, value: T, close: Callable[[T], Coroutine[Any, Any, None]]) -> None:
        self.value = value
        self._until_closed = _until_closed(value, close)
        with suppress(StopIteration):
            self._until_closed.asend(None).send(None)

    async def aclose(self) -> None:
        await self._until_closed.aclose()


async def _until_closed(
    value: T, close: Callable[[T], Coroutine[Any, Any, None]]
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await close(value)


def _close_all_soon(values: dict[asyncio.AbstractEventLoop, _Kept[Any]]) -> None:
    """Close the values that no object refers to, each in its loop; called at any moment.

    A loop that is stopped does it when it runs again; a closed loop has done it already.
    """
    for loop, kept in values.items():
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_close_soon, loop, kept)


def _close_soon(loop: asyncio.AbstractEventLoop, kept: _Kept[Any]) -> None:
    closing = loop.create_task(kept.aclose())
    _closings.add(closing)
    closing.add_done_callback(_closings.discard)


# A loop holds its tasks weakly.
_closings: set[asyncio.Task[None]] = set()


async def _in_its_loop(loop: asyncio.AbstractEventLoop, kept: _Kept[Any]) -> None:
    """Have another thread's loop close its value; one that has ended took it along."""
    if not loop.is_running():
        _close_all_soon({loop: kept})
        return
    closing = kept.aclose()
    try:
        ending = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(closing, loop))
    except RuntimeError:  # the loop was closed this very moment
        closing.close()
        return
    # Not `await ending`: when that loop ends first, its cancellation is not ours.
    await asyncio.wait((ending,))
    if not ending.cancelled():
        ending.result()
