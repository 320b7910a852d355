"""Who holds the tasks in which requests are on the wire."""

from __future__ import annotations

import asyncio
import gc
import weakref

from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.send_tasks import SendTasks


async def test_a_send_that_is_over_is_held_no_more() -> None:
    sends = SendTasks(FakeClock(), max_connections=1)
    woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = sends.start(asyncio.sleep(0, "the reply"), woken)
    over = weakref.ref(task)
    reply = await task
    del task
    await asyncio.sleep(0)  # the step in which it ended is over then
    gc.collect()
    assert (reply, over(), woken.done()) == ("the reply", None, True)


async def test_an_error_that_a_cancelled_caller_does_not_take_is_not_reported_by_asyncio() -> None:
    loop, told = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: told.append(context))

    async def fail() -> None:
        raise RuntimeError("after its caller was cancelled")

    sends = SendTasks(FakeClock(), max_connections=1)
    caller: asyncio.Future[None] = loop.create_future()
    task = sends.start(fail(), caller)
    caller.cancel()
    await asyncio.wait({task})
    del task
    await asyncio.sleep(0)
    gc.collect()
    assert told == []
