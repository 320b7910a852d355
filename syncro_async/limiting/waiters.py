"""Wakes who waits, with a slot or with a no, in whatever event loop it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from syncro_async.errors import BudgetWaitError
from syncro_async.limiting.budget.lane_queue import Waiter
from syncro_async.limiting.protocol import Slot

# The shortest `wait_needed` of a waiter that was rejected after it had waited (s).
SHORTEST_ADVICE = 1.0


def wake(waiter: Waiter, slot: Slot) -> bool:
    """Give a waiter its slot; False when its event loop has gone."""
    if waiter.loop is running_loop():
        waiter.granted.set_result(slot)
        return True
    return call_in_loop(waiter.loop, _set_unless_done, waiter.granted, slot)


def reject(waiter: Waiter, error: BudgetWaitError) -> None:
    """Tell a waiter that it waits for nothing."""
    if waiter.loop is running_loop():
        _fail_unless_done(waiter.granted, error)
    else:
        call_in_loop(waiter.loop, _fail_unless_done, waiter.granted, error)


def too_long(needed: float, max_wait: float | None) -> BudgetWaitError:
    """The error of a call that would wait longer than its patience (s; None: it has waited)."""
    allowed = "that is longer than" if max_wait is None else f"{max_wait:.1f} s are"
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


def call_in_loop(
    loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: object
) -> bool:
    """Have another loop's thread run something; False when that loop is closed."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        return False
    return True


def _fail_unless_done(granted: asyncio.Future[Slot], error: BudgetWaitError) -> None:
    if not granted.done():
        granted.set_exception(error)


def _set_unless_done(granted: asyncio.Future[Slot], slot: Slot) -> None:
    if not granted.done():
        granted.set_result(slot)
