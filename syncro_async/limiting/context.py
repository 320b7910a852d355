"""The lane of a call, and hooks around its wait for budget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async._internal.plain_text import shown
from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.protocol import Lane

LANES: tuple[Lane, ...] = ("interactive", "bulk")

_chosen: ContextVar[Lane | None] = ContextVar("syncro_async_lane", default=None)


@contextmanager
def lane(name: Lane) -> Iterator[None]:
    """Calls made inside this block go in that lane, whatever client they are made with.

    It holds also for the tasks that are started inside, and for the functions that are called
    there. Only a view made by `with_options(lane=…)` keeps its own lane. Raises
    `ConfigurationError` for a lane that does not exist.

        with lane("bulk"):
            await nightly_job(syncro)

    - `name`: `"interactive"` or `"bulk"`.
    """
    token = _chosen.set(checked_lane(name))
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen_lane() -> Lane | None:
    """The lane of the code that runs; None outside every `with lane(…)`."""
    return _chosen.get()


def checked_lane(name: Lane) -> Lane:
    """The same lane. Raises `ConfigurationError` for any other value."""
    given: object = name
    if not (isinstance(given, str) and given in LANES):
        raise ConfigurationError(
            ArgumentText(Argument("lane", shown(name)), f" must be one of {', '.join(LANES)}")
        )
    return name


class WaitHooks(Protocol):
    """Somebody who waits for what the code that runs will answer, such as a web request's sender.

    It is up to the caller to end a call that waits for nobody, by cancelling the task it is made
    in; a request that has been put on the wire goes to its end all the same.
    """

    def waiting(self) -> AbstractContextManager[None]:
        """A block in which one of its calls waits in the queue for budget; nothing is sent."""

    async def before_send(self) -> None:
        """The moment before a request is put on the wire; a cancellation under way comes here."""


_hooks: ContextVar[WaitHooks | None] = ContextVar("syncro_async_caller", default=None)


@contextmanager
def use_wait_hooks(caller: WaitHooks) -> Iterator[None]:
    """Calls made inside, and in tasks started inside, are made for that caller."""
    token = _hooks.set(caller)
    try:
        yield
    finally:
        _hooks.reset(token)


class TooLateError(ConfigurationError):
    """A request was not sent, because what it says may be out of date by now."""


_latest: ContextVar[tuple[float, Clock] | None] = ContextVar("syncro_async_latest", default=None)


@contextmanager
def sent_until(latest: float, clock: Clock) -> Iterator[None]:
    """Calls made inside raise `TooLateError` where they would be sent later (monotonic s)."""
    token = _latest.set((latest, clock))
    try:
        yield
    finally:
        _latest.reset(token)


def is_late() -> bool:
    """Whether the moment is over until which the code that runs may send."""
    if (known := _latest.get()) is None:
        return False
    latest, clock = known
    return clock.monotonic() > latest


def hooked_wait() -> AbstractContextManager[None]:
    """A block in which the caller of the code that runs, where there is one, waits for budget."""
    caller = _hooks.get()
    return nullcontext() if caller is None else caller.waiting()


async def before_send() -> None:
    """Let the caller of the code that runs, where there is one, end the call while it still can."""
    caller = _hooks.get()
    if caller is not None:
        await caller.before_send()
    if is_late():
        raise TooLateError("nothing was sent, because what it says may be out of date")
