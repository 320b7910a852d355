"""Wakes who waits, with a slot or with a no, in whatever event loop it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from syncro_async.errors import BudgetWaitError
from syncro_async.limiting.limiter import Slot
from syncro_async.limiting.queue import Waiter

# What a caller is told to wait at least who was turned away out of the queue (s).
SHORTEST_ADVICE = 1.0


def wake(waiter: Waiter, slot: Slot) -> bool:
    """Give a waiter its slot; False when its event loop has gone."""
    if waiter.loop is running_loop():
        waiter.woken.set_result(slot)
        return True
    return call_in(waiter.loop, _set_unless_done, waiter.woken, slot)


def turn_away(waiter: Waiter, error: BudgetWaitError) -> None:
    """Tell a waiter that it waits for nothing."""
    if waiter.loop is running_loop():
        _fail_unless_done(waiter.woken, error)
    else:
        call_in(waiter.loop, _fail_unless_done, waiter.woken, error)


def too_long(needed: float, patience: float | None) -> BudgetWaitError:
    """The error of a call that would wait longer than its patience (s; None: it has waited)."""
    allowed = "that is longer than" if patience is None else f"{patience:.1f} s are"
    return BudgetWaitError(
        f"the call's turn in the budget is {needed:.1f} s away,"
        f" {allowed} allowed; nothing was sent",
        wait_needed=needed,
    )


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of this thread, if one runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def call_in(
    loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: object
) -> bool:
    """Have another loop's thread run something; False when that loop is closed."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        return False
    return True


def _fail_unless_done(woken: asyncio.Future[Slot], error: BudgetWaitError) -> None:
    if not woken.done():
        woken.set_exception(error)


def _set_unless_done(woken: asyncio.Future[Slot], slot: Slot) -> None:
    if not woken.done():
        woken.set_result(slot)
