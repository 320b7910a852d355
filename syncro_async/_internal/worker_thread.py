"""Does the blocking work of one job in a thread of its own, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class WorkerThread:
    """Runs functions one after the other in a thread of its own, so that a file has one user.

    Leaving the block waits for the function that runs, also when the caller was cancelled, so that
    the next program that opens the file finds it at rest. A second cancellation during this wait
    blocks the event loop until the function ends. The functions given to `on_exit` are called then,
    in the same thread.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="syncro-bulk")
        self._last: Callable[[], object] = lambda: None

    def on_exit(self, work: Callable[[], object]) -> None:
        """Call this function when the block is left, also by an exception."""
        self._last = work

    async def __call__(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the work in the thread; a cancelled caller does not stop it."""
        call = partial(work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        end = asyncio.wrap_future(self._thread.submit(self._end))
        try:
            await asyncio.wait({end})
        finally:
            self._thread.shutdown(wait=True)
        failure = end.exception()
        if error is None and failure is not None:
            raise failure

    def _end(self) -> None:
        # Only here is it certain which: something may just have been opened in this thread.
        self._last()
