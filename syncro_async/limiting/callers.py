"""Whom a call is made for: somebody who may go away while it still stands in the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol


class Caller(Protocol):
    """Somebody who waits for what the code that runs will answer, such as a web request's sender.

    It is up to the caller to end a call that waits for nobody, by cancelling the task it is made
    in; a request that has been put on the wire goes to its end all the same.
    """

    def waiting(self) -> AbstractContextManager[None]:
        """A block in which one of its calls stands in the queue for budget, nothing sent."""

    async def last_look(self) -> None:
        """The moment before a request is put on the wire; a cancellation under way comes here."""


_caller: ContextVar[Caller | None] = ContextVar("syncro_async_caller", default=None)


@contextmanager
def calls_for(caller: Caller) -> Iterator[None]:
    """Calls made inside, and in tasks started inside, are made for that caller."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


def caller_waits() -> AbstractContextManager[None]:
    """A block in which the caller of the code that runs, where there is one, waits for budget."""
    caller = _caller.get()
    return nullcontext() if caller is None else caller.waiting()


async def last_look() -> None:
    """Let the caller of the code that runs, where there is one, end the call while it still can."""
    caller = _caller.get()
    if caller is not None:
        await caller.last_look()
