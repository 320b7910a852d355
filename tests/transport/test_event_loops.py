"""One client, several event loops: one after the other, and in several threads."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from syncro_async import AsyncClient, RateLimit, RetryPolicy
from syncro_async._internal.per_loop import PerLoop
from syncro_async.errors import ConfigurationError, ConnectionFailedError
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.http_engine import in_process_transport
from tests.transport.scripted_app import BASE_URL, KEY, ONE, Answer, App, never
from tests.transport.scripted_server import ScriptedServer, answers, http

LEAD = http(b'{"success": true, "lead": {"id": 7}}')
ONCE = RetryPolicy(attempts=1)
WELL = Answer(body={"lead": {"id": 7}})


def client_of(app: App, **options: Any) -> AsyncClient:
    transport = in_process_transport(app)
    return AsyncClient(KEY, base_url=BASE_URL, clock=app.clock, transport=transport, **options)


class TestOneAfterTheOther:
    def test_the_budget_goes_along(self) -> None:
        app = App(WELL)
        client = client_of(app, rate_limit=ONE)

        async def call() -> None:
            await client.leads.get(7)

        asyncio.run(call())
        asyncio.run(call())
        asyncio.run(client.aclose())
        assert app.times == [0.0, 60.25]

    def test_a_transport_of_the_caller_s_serves_the_loop_that_used_it_first(self) -> None:
        transport = httpx.AsyncHTTPTransport()
        client = AsyncClient(KEY, base_url="http://127.0.0.1:9", transport=transport, retry=ONCE)
        with pytest.raises(ConnectionFailedError):
            asyncio.run(client.leads.get(7))
        with pytest.raises(ConfigurationError, match="belongs to the event loop that used it"):
            asyncio.run(client.leads.get(7))
        assert client.budget().in_flight == 0

    def test_sockets_of_a_loop_that_has_gone_are_not_used_again(self) -> None:
        server = ScriptedServer(answers(LEAD, LEAD))
        rates = RateLimit(1000, 1.0)

        async def serve(ready: Future[str], over: Future[None]) -> None:
            async with server:
                loop.set_result(asyncio.get_running_loop())
                ready.set_result(server.url)
                await asyncio.wrap_future(over)

        ready: Future[str] = Future()
        loop: Future[asyncio.AbstractEventLoop] = Future()
        over: Future[None] = Future()
        thread = threading.Thread(target=asyncio.run, args=(serve(ready, over),))
        thread.start()
        try:
            client = AsyncClient(KEY, base_url=ready.result(), rate_limit=rates)

            async def call() -> int:
                return (await client.leads.get(7)).id

            assert [asyncio.run(call()) for _ in range(3)] == [7, 7, 7]
            # Each loop has taken its connection along, closed or not.
            asyncio.run_coroutine_threadsafe(server.closed(), loop.result()).result()
            asyncio.run(client.aclose())
            gc.collect()
        finally:
            over.set_result(None)
            thread.join()
        assert server.connections == 3

    def test_a_loop_that_ends_with_calls_under_way_takes_no_slot_along(self) -> None:
        app = App(never)
        client = client_of(app, rate_limit=RateLimit(3, 60.0), max_connections=1)

        async def leave_in_the_middle() -> None:
            calls = [asyncio.ensure_future(client.leads.get(number)) for number in range(9)]
            await app.arrived()
            assert not any(call.done() for call in calls)

        asyncio.run(leave_in_the_middle())
        budget = client.budget()
        # One was on the wire and may have been counted; two had a slot and were never sent.
        assert (budget.in_flight, budget.available, budget.waiting) == (0, 2, 0)
        asyncio.run(client.aclose())

    def test_a_loop_that_ends_as_a_send_begins_takes_no_slot_along(self) -> None:
        app = App(WELL)
        client = client_of(app, rate_limit=ONE)

        async def leave_at_once() -> None:
            call = asyncio.ensure_future(client.leads.get(7))
            await asyncio.sleep(0)
            assert client.budget().in_flight == 1
            assert not call.done()

        asyncio.run(leave_at_once())
        assert client.budget().in_flight == 0
        asyncio.run(client.aclose())

    def test_a_client_whose_loop_has_gone_can_be_closed_in_another(self) -> None:
        client = client_of(App(WELL))

        async def call() -> None:
            await client.leads.get(7)

        asyncio.run(call())
        asyncio.run(client.aclose())
        with pytest.raises(ConfigurationError, match="closed"):
            asyncio.run(call())

    def test_a_client_can_be_made_where_no_loop_runs_and_need_not_be_closed(self) -> None:
        assert client_of(App(WELL)).budget().available == 60


class TestThreads:
    def test_fifty_threads_share_one_client_and_one_budget(self) -> None:
        server = ScriptedServer(answers(*[LEAD] * 4))
        client: AsyncClient

        async def serve(ready: Future[str], over: Future[None]) -> None:
            async with server:
                ready.set_result(server.url)
                await asyncio.wrap_future(over)

        async def four_calls() -> list[int]:
            return [(await client.leads.get(7)).id for _ in range(4)]

        ready: Future[str] = Future()
        over: Future[None] = Future()
        thread = threading.Thread(target=asyncio.run, args=(serve(ready, over),))
        thread.start()
        try:
            client = AsyncClient(KEY, base_url=ready.result(), rate_limit=RateLimit(200, 3600.0))
            met = threading.Barrier(50)

            def in_a_loop() -> list[int]:
                met.wait()
                return asyncio.run(four_calls())

            with ThreadPoolExecutor(50) as threads:
                runs = [threads.submit(in_a_loop) for _ in range(50)]
                assert [run.result() for run in runs] == [[7] * 4] * 50
            budget = client.budget()
            assert (budget.available, budget.in_flight, budget.waiting) == (0, 0, 0)
            asyncio.run(client.aclose())
        finally:
            over.set_result(None)
            thread.join()
        assert len(server.requests) == 200


class Loop:
    """An event loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, work: Callable[[], Any]) -> Any:
        async def done() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result()

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class TestPerLoop:
    async def test_a_value_is_closed_in_the_loop_it_belongs_to(self) -> None:
        closed: list[tuple[str, asyncio.AbstractEventLoop]] = []

        async def close(value: str) -> None:
            closed.append((value, asyncio.get_running_loop()))

        other = Loop()
        names = iter(("here", "there"))
        values = PerLoop(lambda: next(names), close)
        assert values.get() == "here"
        assert other.run(values.get) == "there"
        assert values.get() == "here"
        await values.aclose()
        await values.aclose()
        assert closed == [("here", asyncio.get_running_loop()), ("there", other.loop)]
        other.end()

    async def test_an_error_in_another_loop_is_heard_here(self) -> None:
        async def close(value: str) -> None:
            raise OSError(value)

        other = Loop()
        values = PerLoop(lambda: "stuck", close)
        other.run(values.get)
        with pytest.raises(OSError, match="stuck"):
            await values.aclose()
        other.end()

    async def test_a_loop_that_ends_meanwhile_cancels_nobody_here(self) -> None:
        begun = asyncio.Event()
        own = asyncio.get_running_loop()

        async def close(value: str) -> None:
            own.call_soon_threadsafe(begun.set)
            await asyncio.Event().wait()

        other = Loop()
        values = PerLoop(lambda: "slow", close)
        other.run(values.get)
        closing = asyncio.ensure_future(values.aclose())
        await begun.wait()

        def cancel_all() -> None:
            for task in asyncio.all_tasks(other.loop):
                task.cancel()

        other.loop.call_soon_threadsafe(cancel_all)
        await closing
        other.end()

    async def test_a_loop_that_has_stopped_or_closed_took_its_value_along(self) -> None:
        closed: list[str] = []

        async def close(value: str) -> None:
            closed.append(value)

        values = PerLoop(lambda: "gone", close)

        async def use() -> None:
            values.get()

        stopped = asyncio.new_event_loop()
        await asyncio.to_thread(stopped.run_until_complete, use())
        ending = Ending()
        await asyncio.to_thread(ending.run_until_complete, use())
        ending.close()
        await values.aclose()
        assert closed == []
        stopped.close()

    async def test_a_value_is_closed_when_its_loop_ends_and_forgotten_when_another_is_made(
        self,
    ) -> None:
        closed: list[asyncio.AbstractEventLoop] = []

        async def close(value: object) -> None:
            closed.append(asyncio.get_running_loop())

        values = PerLoop(object, close)

        async def use() -> None:
            values.get()
            assert values.get() is values.get()

        await asyncio.to_thread(asyncio.run, use())
        before = list(values._values)
        assert closed == before
        await asyncio.to_thread(asyncio.run, use())
        assert len(before) == len(values._values) == 1
        assert list(values._values) != before
        await values.aclose()
        assert len(closed) == 2

    async def test_values_that_nobody_can_use_any_more_are_closed_in_their_loops(self) -> None:
        closed: list[asyncio.AbstractEventLoop] = []
        done = asyncio.Event()
        own = asyncio.get_running_loop()

        async def close(value: str) -> None:
            closed.append(asyncio.get_running_loop())
            own.call_soon_threadsafe(done.set)

        async def use(values: PerLoop[str]) -> None:
            values.get()

        other = Loop()
        values = PerLoop(lambda: "forgotten", close)
        ended = asyncio.new_event_loop()
        await asyncio.to_thread(ended.run_until_complete, use(values))
        ended.close()
        other.run(values.get)
        del values
        while not done.is_set():
            gc.collect()  # does nothing while another thread collects
            await asyncio.sleep(0)
        assert closed == [other.loop]
        other.end()

    def test_where_no_loop_runs_it_says_so(self) -> None:
        async def close(value: str) -> None:
            raise AssertionError("nothing was made")

        values = PerLoop(str, close)
        with pytest.raises(ConfigurationError, match="no asyncio event loop runs here"):
            values.get()
        assert not values.in_use


class Ending(asyncio.SelectorEventLoop):
    """A loop that is closed the very moment after it said that it runs."""

    def is_running(self) -> bool:
        return self.is_closed() or super().is_running()


def test_virtual_time_goes_on_in_the_next_loop() -> None:
    clock = FakeClock()
    asyncio.run(clock.sleep(10))
    asyncio.run(clock.sleep(10))
    assert clock.monotonic() == 20.0
