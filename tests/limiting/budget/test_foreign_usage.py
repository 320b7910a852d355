"""Somebody else spends the same key: what is learned of it, and how it is forgotten."""

from __future__ import annotations

import pytest

from syncro_async.errors import BudgetWaitError
from syncro_async.limiting.budget.foreign_usage import (
    OwnShare,
    decrement,
    recover,
    reduce_after_429,
)
from syncro_async.limiting.protocol import Answered, NotCounted, Throttled
from syncro_async.limiting.rate_limit import RateLimit
from tests.limiting.waiters import Line, still_clock

TEN = RateLimit(10, 60.0, guard=0.0)
WINDOW = 60.0


async def old_line(*rates: RateLimit) -> Line:
    """A limiter that has known its key for longer than a window."""
    line = Line(still_clock(), *(rates or (TEN,)))
    await line.clock.advance(max(rate.hold_seconds for rate in line.limiter.rates) + 1.0)
    return line


async def sent(line: Line, calls: int) -> list[str]:
    names = [f"{len(line.let_go) + number}" for number in range(calls)]
    await line.call(*names)
    return names


async def refused(line: Line, name: str, pause: float = 30.0) -> None:
    await line.limiter.release(line.slots[name], Throttled(pause))
    await line.clock.advance(0)


async def open_the_gate(line: Line) -> None:
    """One call goes alone after the pause, and well."""
    name = f"opener {len(line.let_go)}"
    await line.call(name)
    await line.answer(name)


class TestAfterA429:
    async def test_no_more_is_spent_than_the_server_let_through(self) -> None:
        line = await old_line()
        *well, bad = await sent(line, 8)
        await line.answer(*well)
        assert line.limiter.budget().foreign_estimate == 0
        await refused(line, bad)
        budget = line.limiter.budget()
        assert (budget.limit, budget.foreign_estimate) == (7, 3)
        await line.clock.advance(WINDOW)
        assert line.limiter.budget().available == 1  # the gate is yet to be opened
        await open_the_gate(line)
        await line.call(*"abcdefgh")
        assert line.names[-6:] == list("abcdef")
        assert line.slots["a"].foreign == 3

    async def test_nothing_is_learned_in_the_first_window(self) -> None:
        line = Line(still_clock(), TEN)
        await line.clock.advance(WINDOW)
        *well, bad = await sent(line, 8)
        await line.answer(*well)
        await refused(line, bad)
        assert line.limiter.budget().foreign_estimate == 0

    async def test_nor_where_nothing_was_let_through(self) -> None:
        line = await old_line()
        (bad,) = await sent(line, 1)
        await refused(line, bad)
        assert line.limiter.budget().foreign_estimate == 0

    async def test_one_window_halves_the_budget_at_the_most(self) -> None:
        line = await old_line()
        well, bad = await sent(line, 2)
        await line.answer(well)
        await refused(line, bad)
        assert line.limiter.budget().limit == 5

    async def test_it_is_one_fewer_at_the_least(self) -> None:
        line = await old_line()
        *well, bad = await sent(line, 10)
        await line.answer(*well)
        await refused(line, bad)
        assert line.limiter.budget().limit == 9

    async def test_what_was_on_the_wire_and_is_refused_too_was_not_let_through(self) -> None:
        line = await old_line()
        *well, first, second, third, unsent = await sent(line, 10)
        await line.answer(*well)
        await refused(line, first)
        assert line.limiter.budget().limit == 9
        await refused(line, second)
        await refused(line, third)
        await line.limiter.release(line.slots[unsent], NotCounted())
        assert line.limiter.budget().limit == 6

    async def test_nor_does_that_go_below_the_half(self) -> None:
        line = await old_line()
        names = await sent(line, 10)
        for name in names:
            await refused(line, name)
        assert line.limiter.budget().limit == 5

    async def test_where_nothing_was_learned_such_a_second_one_teaches_nothing(self) -> None:
        line = Line(still_clock(), TEN)
        for name in await sent(line, 3):
            await refused(line, name)
        assert line.limiter.budget().limit == 10

    async def test_an_opener_that_is_refused_teaches_nothing_more(self) -> None:
        line = await old_line()
        *well, bad = await sent(line, 8)
        await line.answer(*well)
        await refused(line, bad)
        await line.clock.advance(WINDOW)
        (opener,) = await sent(line, 1)
        assert line.slots[opener].is_probe
        await refused(line, opener)
        assert line.limiter.budget().limit == 7

    async def test_only_the_longest_window_is_lowered(self) -> None:
        short = RateLimit(8, 1.0, guard=0.0)
        line = await old_line(short, TEN)
        *well, bad = await sent(line, 8)
        await line.answer(*well)
        await refused(line, bad)
        await line.clock.advance(WINDOW)
        await open_the_gate(line)
        await line.clock.advance(1.0)
        budget = line.limiter.budget()
        assert (budget.limit, budget.available, budget.foreign_estimate) == (7, 6, 3)

    async def test_waits_are_told_by_what_is_left_to_us(self) -> None:
        line = await old_line()
        *well, bad = await sent(line, 6)
        await line.answer(*well)
        await refused(line, bad, pause=1.0)
        await line.clock.advance(1.0)
        # All 5 that are ours are taken; with 10 a window it would go at once.
        with pytest.raises(BudgetWaitError) as caught:
            await line.limiter.acquire("interactive", max_wait=0.0)
        assert caught.value.wait_needed == 59.0


class TestForgetting:
    async def test_clean_windows_bring_back_one_call_then_two_then_four(self) -> None:
        line = await old_line()
        names = await sent(line, 10)
        for name in names:
            await refused(line, name, pause=30.0)
        limits = []
        for _ in range(4):
            limits.append(line.limiter.budget().limit)
            await line.clock.advance(30.0 if len(limits) == 1 else 0.0)
            await line.clock.advance(WINDOW)
        assert [*limits, line.limiter.budget().limit] == [5, 6, 8, 10, 10]
        assert line.limiter.budget().foreign_estimate == 0

    async def test_a_stranger_who_stays_is_tried_ever_less_often(self) -> None:
        line = await old_line()
        waits = []
        for _ in range(6):
            *well, bad = await sent(line, 6)
            await line.answer(*well)
            await refused(line, bad, pause=0.0)
            lowered_at, limit = line.clock.monotonic(), line.limiter.budget().limit
            await line.clock.advance(WINDOW)
            await open_the_gate(line)
            while line.limiter.budget().limit == limit:
                await line.clock.advance(WINDOW)
            waits.append((line.clock.monotonic() - lowered_at) / WINDOW)
            await line.clock.advance(WINDOW)
        assert waits == [1, 2, 4, 8, 16, 16]


class TestWhatTheServerSaysIsLeft:
    async def test_calls_it_counted_that_were_not_ours_are_taken_until_they_are_old(self) -> None:
        line = Line(still_clock(), TEN)
        (name,) = await sent(line, 1)
        await line.limiter.release(line.slots[name], Answered(line.clock.monotonic(), 4))
        assert line.limiter.budget().available == 4
        assert line.limiter.budget().foreign_estimate == 5
        await line.clock.advance(WINDOW)
        assert line.limiter.budget().available == 10
        assert line.limiter.budget().foreign_estimate == 0

    async def test_one_answer_that_leaves_nothing_costs_nothing(self) -> None:
        line = Line(still_clock(), TEN)
        first, second, third, fourth = await sent(line, 4)
        for name, left in ((first, 0), (second, 8), (third, 0)):
            await line.limiter.release(line.slots[name], Answered(line.clock.monotonic(), left))
            assert line.limiter.budget().available == 6
            assert line.limiter.budget().foreign_estimate == 0
        await line.limiter.release(line.slots[fourth], Answered(line.clock.monotonic(), 0))
        assert line.limiter.budget().available == 0
        assert line.limiter.budget().foreign_estimate == 6

    async def test_our_own_last_calls_confirm_nothing(self) -> None:
        line = Line(still_clock(), TEN)
        *names, last, after = await sent(line, 10)
        await line.answer(*names)
        await line.limiter.release(line.slots[last], Answered(line.clock.monotonic(), 0))
        await line.limiter.release(line.slots[after], Answered(line.clock.monotonic(), 0))
        assert line.limiter.budget().foreign_estimate == 0

    async def test_it_only_ever_lowers_what_is_free(self) -> None:
        line = Line(still_clock(), TEN)
        *some, last = await sent(line, 4)
        await line.answer(*some)
        await line.limiter.release(line.slots[last], Answered(line.clock.monotonic(), 9))
        assert line.limiter.budget().available == 6

    async def test_calls_of_ours_that_overtook_each_other_are_no_strangers(self) -> None:
        line = Line(still_clock(), TEN)
        names = await sent(line, 5)
        for left, name in enumerate(reversed(names), start=5):
            await line.limiter.release(line.slots[name], Answered(line.clock.monotonic(), left))
        assert line.limiter.budget().available == 5

    async def test_a_stranger_is_booked_once_however_often_it_is_told(self) -> None:
        line = Line(still_clock(), TEN)
        first, second, third = await sent(line, 3)
        for left, name in ((5, third), (7, first), (6, second)):
            await line.limiter.release(line.slots[name], Answered(line.clock.monotonic(), left))
        assert line.limiter.budget().available == 5

    async def test_more_than_the_window_holds_leaves_nothing(self) -> None:
        line = Line(still_clock(), TEN)
        *names, last = await sent(line, 10)
        await line.limiter.release(line.slots[last], Answered(line.clock.monotonic(), 0))
        await line.answer(*names)
        assert line.limiter.budget().available == 0
        await line.clock.advance(WINDOW)
        assert line.limiter.budget().available == 10


class TestTheShare:
    """The arithmetic by itself."""

    def test_it_is_lowered_from_what_it_was_and_waits_twice_as_long(self) -> None:
        first = reduce_after_429(None, 60, WINDOW, 40, until=100.0)
        assert first == OwnShare(40, 30, 40, 1, 1, 160.0)
        second = reduce_after_429(first, 60, WINDOW, 35, until=500.0)
        assert second == OwnShare(35, 20, 35, 1, 2, 620.0)

    def test_one_call_is_left_at_the_least(self) -> None:
        assert reduce_after_429(None, 1, WINDOW, 1, until=0.0) == OwnShare(1, 1, 1, 1, 1, 60.0)

    def test_without_a_share_there_is_none_to_take_from(self) -> None:
        assert decrement(None) is None
        assert recover(None, 60, WINDOW, 1e9) is None

    def test_it_grows_by_what_the_time_allows_however_seldom_one_looks(self) -> None:
        share = OwnShare(30, 30, 40, 1, 1, 160.0)
        assert recover(share, 60, WINDOW, 159.9) == share
        grown = recover(share, 60, WINDOW, 160.0 + 3 * WINDOW)
        assert grown is not None
        assert (grown.calls, grown.step) == (45, 16)
        assert recover(share, 60, WINDOW, 160.0 + 4 * WINDOW) is None
