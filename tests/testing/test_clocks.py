"""The machine's clock, and the one that stands still."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from syncro_async.clock import SystemClock, SystemTimer, clock_of_elapsed_time
from syncro_async.testing.fake_clock import FakeClock


class TestSystemClock:
    def test_it_reads_the_machine_s_time(self) -> None:
        clock = SystemClock()
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        assert before <= clock.monotonic() <= time.clock_gettime(time.CLOCK_BOOTTIME)
        assert time.time() <= clock.wall() <= time.time()

    def test_all_of_them_are_one(self) -> None:
        assert SystemClock() == SystemClock()
        assert len({SystemClock(), SystemClock()}) == 1

    @pytest.mark.parametrize("known", [["CLOCK_BOOTTIME", "CLOCK_MONOTONIC"], ["CLOCK_MONOTONIC"]])
    def test_it_goes_on_during_suspend_where_the_system_has_such_a_clock(
        self, known: list[str]
    ) -> None:
        numbers = {name: getattr(time, name) for name in known}
        system = SimpleNamespace(**numbers, clock_gettime=lambda number: (number, 5.0))
        read: object = clock_of_elapsed_time(system)()
        assert read == (numbers[known[0]], 5.0)

    def test_a_system_without_numbered_clocks_has_its_monotonic_one(self) -> None:
        assert clock_of_elapsed_time(SimpleNamespace(monotonic=lambda: 7.0))() == 7.0

    def test_a_timer_looks_at_the_clock_again_after_five_seconds(self) -> None:
        started: list[float] = []

        class Loop:
            """A loop whose own clock stood still while the machine slept."""

            def call_later(self, delay: float, callback: Callable[[], object]) -> SimpleNamespace:
                started.append(delay)
                if delay == 5.0:
                    elapsed[0] += 60.0
                    callback()
                return SimpleNamespace(cancel=lambda: started.append(-1.0))

        elapsed = [100.0]
        timer = SystemTimer(130.0, lambda: None, cast("Any", Loop()), lambda: elapsed[0])
        assert started == [5.0, 0.0]
        timer.cancel()
        assert started[-1] == -1.0

    async def test_it_waits_and_rings_on_the_loop(self) -> None:
        clock = SystemClock()
        rung: list[str] = []
        rang = asyncio.Event()
        clock.call_at(clock.monotonic() - 5.0, rang.set)
        clock.call_at(clock.monotonic(), lambda: rung.append("cancelled")).cancel()
        before = clock.monotonic()
        await clock.sleep(0.001)
        await rang.wait()
        assert clock.monotonic() - before >= 0.001
        assert rung == []


class TestFakeClock:
    async def test_time_jumps_to_what_is_due_next_once_every_task_waits(self) -> None:
        clock = FakeClock(start=100.0)
        woken: list[tuple[str, float]] = []

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic()))

        await asyncio.gather(sleeper("b", 3600), sleeper("a", 0.5), sleeper("now", 0))
        assert woken == [("now", 100.0), ("a", 100.5), ("b", 3700.0)]

    async def test_work_between_two_waits_takes_no_time(self) -> None:
        clock = FakeClock()

        async def works() -> float:
            for _ in range(1000):
                await asyncio.sleep(0)
            return clock.monotonic()

        sleeper = asyncio.ensure_future(clock.sleep(5))
        assert await works() == 0.0
        await sleeper
        assert clock.monotonic() == 5.0

    async def test_by_hand_it_stops_at_every_timer_on_the_way(self) -> None:
        clock = FakeClock(autojump=False)
        rung: list[float] = []

        def ring() -> None:
            rung.append(clock.monotonic())
            if len(rung) < 3:
                clock.call_at(clock.monotonic() + 1.0, ring)

        clock.call_at(1.0, ring)
        clock.call_at(2.0, lambda: rung.append(-1.0)).cancel()
        await clock.advance(2.5)
        assert (rung, clock.monotonic()) == ([1.0, 2.0], 2.5)
        await clock.advance(0.5)
        assert rung == [1.0, 2.0, 3.0]

    async def test_a_moment_that_has_passed_is_due_at_once_and_time_stands(self) -> None:
        clock = FakeClock(start=50.0)
        rang = asyncio.Event()
        clock.call_at(10.0, rang.set)
        await rang.wait()
        assert clock.monotonic() == 50.0

    async def test_cancelled_timers_move_nothing(self) -> None:
        clock = FakeClock()
        for moment in (10.0, 20.0, 30.0):
            clock.call_at(moment, lambda: None).cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert clock.monotonic() == 0.0
        await clock.sleep(5.0)
        assert clock.monotonic() == 5.0

    async def test_a_cancelled_timer_before_another_is_passed_over(self) -> None:
        clock = FakeClock()
        rang = asyncio.Event()
        clock.call_at(10.0, rang.set)
        clock.call_at(5.0, lambda: None).cancel()
        await rang.wait()
        assert clock.monotonic() == 10.0

    async def test_by_hand_it_goes_no_further_than_told_past_a_cancelled_timer(self) -> None:
        clock = FakeClock(autojump=False)
        clock.call_at(1.0, lambda: None).cancel()
        clock.call_at(9.0, lambda: None)
        await clock.advance(2.0)
        assert clock.monotonic() == 2.0

    async def test_a_cancelled_sleeper_leaves(self) -> None:
        clock = FakeClock(autojump=False)
        sleeper = asyncio.ensure_future(clock.sleep(5.0))
        await asyncio.sleep(0)
        sleeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeper
        await clock.advance(10.0)
        assert clock.monotonic() == 10.0

    def test_the_calendar_moves_with_it_and_by_itself(self) -> None:
        clock = FakeClock(start=5.0, wall=1000.0)
        assert (clock.monotonic(), clock.wall()) == (5.0, 1000.0)
        clock.jump_wall(-3600.0)
        assert (clock.monotonic(), clock.wall()) == (5.0, -2600.0)

    async def test_two_clocks_run_in_one_loop(self) -> None:
        one, two = FakeClock(), FakeClock()
        await asyncio.gather(one.sleep(10), two.sleep(20), one.sleep(30))
        assert (one.monotonic(), two.monotonic()) == (30.0, 20.0)

    async def test_a_callback_that_fails_does_not_stop_it(self) -> None:
        def fails() -> None:
            raise RuntimeError("in a timer")

        heard: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.append(str(context["exception"])))
        clock = FakeClock()
        clock.call_at(1.0, fails)
        await clock.sleep(2.0)
        assert (heard, clock.monotonic()) == (["in a timer"], 2.0)

    def test_timers_end_with_their_loop(self) -> None:
        clock = FakeClock()
        rung: list[str] = []

        async def arm() -> None:
            clock.call_at(5.0, lambda: rung.append("of a loop that has gone"))

        asyncio.run(arm())
        asyncio.run(clock.sleep(10.0))
        assert (rung, clock.monotonic()) == ([], 10.0)

    def test_it_can_be_armed_where_no_loop_runs(self) -> None:
        clock = FakeClock()
        rung: list[float] = []
        clock.call_at(5.0, lambda: rung.append(clock.monotonic()))
        asyncio.run(clock.sleep(6.0))
        assert rung == [5.0]

    async def test_another_loop_takes_it_over(self) -> None:
        clock = FakeClock()
        clock.call_at(1000.0, lambda: None)
        # Joined without an await: this loop is held up until the other one has ended.
        thread = threading.Thread(target=asyncio.run, args=(clock.sleep(10.0),))
        thread.start()
        thread.join()
        assert clock.monotonic() == 10.0
        await clock.sleep(5.0)
        assert clock.monotonic() == 15.0

    async def test_it_stands_still_while_work_is_done_that_it_cannot_see(self) -> None:
        clock = FakeClock()
        sleeper = asyncio.ensure_future(clock.sleep(5.0))
        await asyncio.sleep(0)
        released = threading.Event()

        async def works() -> float:
            with clock.frozen():
                working = asyncio.ensure_future(asyncio.to_thread(released.wait))
                await asyncio.wait({working}, timeout=0.05)
                assert not sleeper.done()
                released.set()
                await working
                return clock.monotonic()

        assert await works() == 0.0
        await sleeper
        assert clock.monotonic() == 5.0

    async def test_the_last_who_asked_for_it_lets_it_go_on(self) -> None:
        clock = FakeClock()
        rung: list[float] = []
        with clock.frozen():
            with clock.frozen():
                clock.call_at(1.0, lambda: rung.append(clock.monotonic()))
            for _ in range(20):
                await asyncio.sleep(0)
            assert rung == []
        await clock.sleep(2.0)
        assert rung == [1.0]

    async def test_a_block_that_ends_before_anybody_noticed_changes_nothing(self) -> None:
        clock = FakeClock()
        sleeper = asyncio.ensure_future(clock.sleep(5.0))
        await asyncio.sleep(0)
        with clock.frozen():
            pass
        await sleeper
        assert clock.monotonic() == 5.0

    async def test_it_goes_no_further_by_hand_either_until_such_work_is_done(self) -> None:
        clock = FakeClock(autojump=False)
        found: list[float] = []

        async def works() -> None:
            with clock.frozen():
                await asyncio.to_thread(lambda: None)
                found.append(clock.monotonic())

        def begin() -> None:
            found.append(clock.monotonic())
            tasks.append(asyncio.ensure_future(works()))

        tasks: list[asyncio.Task[None]] = []
        clock.call_at(1.0, begin)
        await clock.advance(9.0)
        assert (found, clock.monotonic()) == ([1.0, 1.0], 9.0)

    def test_it_may_stand_still_where_no_loop_runs(self) -> None:
        clock = FakeClock()
        with clock.frozen():
            clock.call_at(5.0, lambda: None)
        asyncio.run(clock.sleep(6.0))
        assert clock.monotonic() == 6.0
