"""Calls a function for many items, several at a time, and yields the outcome of each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sized
from contextlib import aclosing
from contextvars import Context, copy_context
from types import TracebackType
from typing import Generic, TypeVar

import msgspec

from syncro_async._internal.checks import is_int
from syncro_async.bulk.job import Job
from syncro_async.bulk.progress import OnProgress, ProgressReporter
from syncro_async.errors import ConfigurationError
from syncro_async.transport.values import refusal

T = TypeVar("T")
R = TypeVar("R")


class Succeeded(msgspec.Struct, Generic[T, R], frozen=True):
    """The function returned `value` for the `item` with this `index` (from 0)."""

    index: int
    item: T
    value: R


class Failed(msgspec.Struct, Generic[T], frozen=True):
    """The function raised `error` for the `item` with this `index` (from 0)."""

    index: int
    item: T
    error: Exception


Function = Callable[[T], Awaitable[R]]
Items = Iterable[T] | AsyncIterable[T]


class Outcomes(Generic[T, R]):
    """The outcomes of `client.bulk.map(…)`, as they finish or in the order of the items.

    They can be iterated once.
    """

    def __init__(
        self, function: Function[T, R], items: Items[T], concurrency: int, *, ordered: bool
    ) -> None:
        self._function = function
        self._items = items
        self._ordered = ordered
        self._running = asyncio.Semaphore(concurrency)
        # Held from before an item is taken until its outcome was read; this bounds the memory.
        self._buffered = asyncio.Semaphore(2 * concurrency)
        self._unread: deque[asyncio.Task[Succeeded[T, R] | Failed[T]]] = deque()
        self._unfinished: set[asyncio.Task[Succeeded[T, R] | Failed[T]]] = set()
        self._changed = asyncio.Event()
        self._closed = False
        self._feeder: asyncio.Task[None] | None = None

    def start(self, context: Context, on_finished: Callable[[], object] = int) -> None:
        """Begin to take items; the block of `Bulk.map` does this.

        - `context`: the function runs in copies of it.
        - `on_finished`: is called after each item.
        """
        self._context = context
        self._on_finished = on_finished
        self._feeder = asyncio.create_task(self._feed(), context=context.copy())
        self._feeder.add_done_callback(lambda _: self._changed.set())

    def __aiter__(self) -> Outcomes[T, R]:
        return self

    async def __anext__(self) -> Succeeded[T, R] | Failed[T]:
        while True:
            if self._closed:
                raise ConfigurationError(
                    "its `async with` block was left: no more items are processed"
                )
            if self._unread and self._unread[0].done():
                self._buffered.release()
                return self._unread.popleft().result()
            if not self._unread and not self._unfinished and self._feeder and self._feeder.done():
                self._feeder.result()  # raises what the items raised
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()

    async def aclose(self) -> None:
        """Cancel the calls that run, and wait until they have ended."""
        self._closed = True
        self._changed.set()
        tasks = [*self._unfinished, *([self._feeder] if self._feeder else [])]
        for task in tasks:
            task.cancel()
        # Their outcomes are not needed any more.
        await asyncio.gather(*tasks, *self._unread, return_exceptions=True)
        self._unread.clear()

    async def _feed(self) -> None:
        index = 0
        async with aclosing(_each(self._items)) as items:
            while True:
                await self._running.acquire()
                await self._buffered.acquire()
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
                self._start_item(index, item)
                index += 1

    def _start_item(self, index: int, item: T) -> None:
        task = asyncio.create_task(self._call(index, item), context=self._context.copy())
        self._unfinished.add(task)
        if self._ordered:
            self._unread.append(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[Succeeded[T, R] | Failed[T]]) -> None:
        self._unfinished.discard(task)
        self._running.release()
        if not self._ordered:
            self._unread.append(task)
        self._changed.set()
        self._on_finished()

    async def _call(self, index: int, item: T) -> Succeeded[T, R] | Failed[T]:
        try:
            return Succeeded(index, item, await self._function(item))
        except Exception as error:  # noqa: BLE001  # one item's error is that item's outcome
            return Failed(index, item, error)


class MapContext(Generic[T, R]):
    """An async context manager around `Outcomes`: calls run only while its block runs."""

    def __init__(
        self,
        job: Job,
        function: Function[T, R],
        items: Items[T],
        *,
        concurrency: int,
        ordered: bool,
        on_progress: OnProgress | None,
    ) -> None:
        if not (is_int(concurrency) and concurrency >= 1):
            raise refusal("concurrency", "an int of 1 or more", concurrency)
        self._job = job
        self._meter = ProgressReporter(job, "map", on_progress)
        self._meter.phase("calling", len(items) if isinstance(items, Sized) else None)
        self._outcomes = Outcomes(function, items, concurrency, ordered=ordered)

    async def __aenter__(self) -> Outcomes[T, R]:
        context = copy_context()
        context.run(self._job.activate)
        self._outcomes.start(context, self._meter.advance)
        return self._outcomes

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._outcomes.aclose()


async def _each(items: Items[T]) -> AsyncGenerator[T, None]:
    """Yield the items. An iterator that is made here is closed here, one that was given is not."""
    if not isinstance(items, AsyncIterable):
        for item in items:
            yield item
        return
    iterator = aiter(items)
    try:
        async for item in iterator:
            yield item
    finally:
        if iterator is not items and isinstance(iterator, AsyncGenerator):
            await iterator.aclose()
