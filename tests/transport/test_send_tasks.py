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
