"""What becomes of the calls when the store of their budget is out of reach, or forgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from syncro_async.errors import BudgetWaitError, ConfigurationError, ConnectionFailedError
from syncro_async.limiting.budget.state import HEARTBEAT, OWNER_TTL, STATE_LOSS_PAUSE
from syncro_async.limiting.protocol import LATE_ARRIVAL_GRACE, Answered, NotCounted, Slot, Unknown
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.limiter import SharedLimiter
from syncro_async.limiting.shared.store import StoreUnreachableError
from syncro_async.testing.fake_clock import FakeClock
from tests.limiting.shared.memory_store import TIMEOUT, Key, MemoryStore, Process
from tests.limiting.waiters import still_clock, within_virtual_days

ONE = RateLimit(1, 60.0)
# After so long none of the calls counts that others were granted before (s).
SILENCE = 60.25
FOUR = RateLimit(4, 60.0)
AWAY = StoreUnreachableError("the limiter's store at nowhere: refused")


@pytest.fixture
async def key() -> AsyncIterator[Key]:
    key = Key(still_clock())
    yield key
    await key.aclose()


def forget(key: Key) -> None:
    """The store is started anew, and empty."""
    assert isinstance(key.store, MemoryStore)
    key.store.states.clear()


async def cut_off(process: Process, *, local: bool = True) -> None:
    """An outage that lasts already, so long that a local share may be used."""
    process.way.trouble = AWAY
    await process.call("gone")
    await process.cancel("gone")
    await process.clock.advance(SILENCE if local else OWNER_TTL)


class TestHiccups:
    async def test_a_short_one_is_waited_out(self, key: Key) -> None:
        a = key.process(FOUR)
        a.way.trouble = AWAY
        await a.call("a")
        await key.clock.advance(OWNER_TTL - HEARTBEAT)
        a.way.trouble = None
        await key.clock.advance(HEARTBEAT)
        assert key.let_go == [("a", 1000.0 + OWNER_TTL - HEARTBEAT + HEARTBEAT)]

    async def test_the_store_is_asked_with_each_heartbeat_meanwhile(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a")
        await a.answer("a")
        await a.call("b")
        await key.clock.advance(60.0)
        a.way.trouble = AWAY
        asked = len(a.way.visited_at)
        await key.clock.advance(1.75)  # the slot is due, and cannot be had
        assert len(a.way.visited_at) - asked == 4

    async def test_who_waited_before_it_keeps_the_place(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a")
        await a.call("b")
        a.way.trouble = AWAY
        await key.clock.advance(1.0)
        await a.call("c")
        a.way.trouble = None
        await a.hand_back("a")
        await key.clock.advance(HEARTBEAT)
        assert key.names == ["a", "b"]

    async def test_two_far_apart_are_no_outage(self, key: Key) -> None:
        a = key.process(ONE)
        a.way.trouble = AWAY
        with pytest.raises(ConnectionFailedError):
            await a.limiter.refresh()
        await key.clock.advance(100.0)
        await a.call("a")
        assert not a.tasks["a"].done()
        a.way.trouble = None
        await key.clock.advance(HEARTBEAT)
        assert key.names == ["a"]

    async def test_a_store_that_answers_with_an_error_is_there(self, key: Key) -> None:
        a = key.process(ONE)
        a.way.trouble = AWAY
        await a.call("a")
        a.way.trouble = ConfigurationError("not for you")
        await key.clock.advance(HEARTBEAT)
        assert "not for you" in str(await a.error("a"))
        await key.clock.advance(100.0)
        a.way.trouble = AWAY
        await a.call("b")
        assert not a.tasks["b"].done()


class TestAnOutage:
    async def test_everybody_who_waits_is_told_after_two_seconds(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a", "b", "c")
        a.way.trouble = AWAY
        await key.clock.advance(HEARTBEAT + OWNER_TTL)
        for name in "bc":
            error = await a.error(name)
            assert isinstance(error, ConnectionFailedError)
            assert str(error) == f"{AWAY}; nothing was sent, because the shared budget is unknown"
            assert error.__suppress_context__
            assert error.permanent  # the call is not tried again: it has waited already
        assert (await a.error("b")) is not (await a.error("c"))

    async def test_new_calls_fail_at_once_while_it_lasts_and_go_when_it_is_over(
        self, key: Key
    ) -> None:
        a = key.process(FOUR)
        await cut_off(a)
        await a.call("a")
        assert isinstance(await a.error("a"), ConnectionFailedError)
        await key.clock.advance(1000.0)
        await a.call("b")
        assert isinstance(await a.error("b"), ConnectionFailedError)
        a.way.trouble = None
        await key.clock.advance(HEARTBEAT + STATE_LOSS_PAUSE)
        await a.call("c")
        assert key.names == ["c"]

    async def test_what_was_answered_in_it_is_told_after_it(self, key: Key) -> None:
        a, b = key.process(FOUR), key.process(FOUR)
        await a.call("a1", "a2")
        a.way.trouble = AWAY
        await key.clock.advance(5.0)
        await a.answer("a1")
        await key.clock.advance(5.0)
        a.way.trouble = None
        await key.clock.advance(HEARTBEAT + STATE_LOSS_PAUSE)
        await b.limiter.refresh()
        budget = b.limiter.budget()
        assert (budget.used, budget.in_flight) == (1, 1)
        assert budget.available == 2
        await b.call("b")
        await b.answer("b")
        await key.clock.advance(55.0)
        await b.limiter.refresh()
        assert b.limiter.budget().used == 1

    async def test_what_was_answered_in_a_very_long_one_is_of_no_matter_any_more(
        self, key: Key
    ) -> None:
        a, b = key.process(FOUR), key.process(FOUR)
        await a.call("a")
        a.way.trouble = AWAY
        await a.answer("a")
        await key.clock.advance(200.0)
        a.way.trouble = None
        await a.call("a2")
        await key.clock.advance(STATE_LOSS_PAUSE)
        await b.limiter.refresh()
        assert b.limiter.budget().in_flight == 1


class TestTheLocalShare:
    async def test_it_is_spent_in_an_outage_and_no_more(self, key: Key) -> None:
        a = key.process(RateLimit(8, 60.0), local_share=0.5)
        a.way.trouble = AWAY
        await a.call(*"abcde")
        await key.clock.advance(SILENCE - 0.01)
        assert key.names == []
        await key.clock.advance(HEARTBEAT)
        assert key.names == list("abcd")
        await a.answer("a")
        await key.clock.advance(60.0)
        assert key.names == list("abcd")
        await key.clock.advance(0.25)
        assert key.names == list("abcde")

    async def test_it_is_one_call_at_the_least_and_has_the_burst_of_its_rate(
        self, key: Key
    ) -> None:
        a = key.process(RateLimit(3, 60.0, burst=2), ONE, local_share=0.01)
        await cut_off(a)
        await a.call("a", "b")
        assert key.names == ["a"]

    async def test_what_was_sent_before_counts_against_it(self, key: Key) -> None:
        a = key.process(RateLimit(8, 60.0), local_share=0.5)
        await a.call(*"abc")
        await a.answer("a")
        await key.clock.advance(10.0)
        a.way.trouble = AWAY
        await key.clock.advance(HEARTBEAT + 50.0)
        await a.answer("b")
        await key.clock.advance(SILENCE - 50.0)
        await a.call(*"defg")  # of its four slots b has one, and c, which was not answered
        assert key.names == list("abcde")
        await key.clock.advance(60.25 - (SILENCE - 50.0))
        assert key.names == list("abcdef")

    async def test_what_was_lost_before_counts_five_seconds_longer(self, key: Key) -> None:
        a = key.process(ONE, local_share=1.0)
        await a.call("a")
        await a.settle(Unknown(), "a")
        a.way.trouble = AWAY
        await key.clock.advance(HEARTBEAT)
        await a.call("b")
        await key.clock.advance(LATE_ARRIVAL_GRACE + 60.25 - HEARTBEAT - 0.01)
        assert key.names == ["a"]
        await key.clock.advance(0.01)
        assert key.names == ["a", "b"]

    async def test_other_lanes_and_the_first_to_come_are_kept_apart_there_too(
        self, key: Key
    ) -> None:
        a = key.process(FOUR, local_share=0.25)
        await cut_off(a)
        await a.call("first")
        await a.call("bulk", lane="bulk")
        await a.call("a")
        await a.call("again", requeued=True)
        for _ in range(4):
            await a.answer(*list(a.slots))
            await key.clock.advance(60.25)
        assert key.names == ["first", "again", "a", "bulk"]

    async def test_patience_counts_from_the_call_and_holds_there_too(self, key: Key) -> None:
        a = key.process(ONE, local_share=1.0)
        await cut_off(a)
        await a.call("a")
        await a.answer("a")
        await a.call("patient", max_wait=70.0)
        await a.call("hasty", max_wait=59.0)
        error = await a.error("hasty")
        assert isinstance(error, BudgetWaitError)
        assert error.wait_needed == 120.5
        await key.clock.advance(60.25)
        assert key.names == ["a", "patient"]

    async def test_the_time_waited_for_the_store_counts(self, key: Key) -> None:
        a = key.process(ONE, local_share=1.0)
        await a.call("a")
        a.way.trouble = AWAY
        await key.clock.advance(HEARTBEAT)
        await a.answer("a")
        await a.call("hasty", max_wait=60.0)
        await a.call("patient", max_wait=61.0)
        error = await a.error("hasty")
        assert isinstance(error, BudgetWaitError)
        assert "60.2 s away, 60.0 s are allowed" in str(error)
        await key.clock.advance(SILENCE + HEARTBEAT)
        assert key.names == ["a", "patient"]

    async def test_a_patience_of_less_than_a_second_is_no_second(self, key: Key) -> None:
        a = key.process(ONE, local_share=1.0)
        await cut_off(a)
        await a.call("a")
        await a.answer("a")
        await key.clock.advance(59.75)
        await a.call("hasty", max_wait=0.25)
        error = await a.error("hasty")
        assert isinstance(error, BudgetWaitError)
        assert error.wait_needed == 0.5

    async def test_a_slot_of_it_comes_back_at_once_when_nothing_was_sent(self, key: Key) -> None:
        a = key.process(ONE, local_share=1.0)
        await cut_off(a)
        await a.call("a", "b")
        await a.hand_back("a")
        assert key.names == ["a", "b"]

    async def test_a_cancelled_waiter_hands_its_turn_on(self, key: Key) -> None:
        a = key.process(ONE, local_share=1.0)
        await cut_off(a)
        await a.call("a", "gone", "b")
        await a.cancel("gone")
        assert a.tasks["gone"].cancelled()
        await a.hand_back("a")
        assert key.names == ["a", "b"]

    @pytest.mark.parametrize("turns", range(6))
    async def test_so_does_one_cancelled_as_it_is_given_its_slot(
        self, key: Key, turns: int
    ) -> None:
        a = key.process(ONE, local_share=1.0)
        await cut_off(a)
        await a.call("a", "gone", "b")
        await a.limiter.release(a.slots["a"], NotCounted())
        for _ in range(turns):
            await asyncio.sleep(0)
        went = a.tasks["gone"].done()
        a.tasks["gone"].cancel()
        await key.clock.advance(0)
        assert a.tasks["gone"].cancelled() is not went
        if went:
            await a.hand_back("gone")
        assert key.names[-1] == "b"

    async def test_one_cancelled_as_it_is_told_to_wait_too_long_goes_quietly(
        self, key: Key
    ) -> None:
        a = key.process(ONE, local_share=1.0)
        await cut_off(a)
        await a.call("a")
        for turns in range(5):
            waiting = asyncio.ensure_future(a.limiter.acquire("interactive", max_wait=0.0))
            for _ in range(turns):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait({waiting})
            assert waiting.cancelled() or isinstance(waiting.exception(), BudgetWaitError)

    async def test_the_store_is_asked_no_oftener_than_before(self, key: Key) -> None:
        a = key.process(ONE, local_share=1.0)
        await cut_off(a)
        for number in range(20):
            await a.call(str(number))
            await key.clock.advance(0.013)
        asked = len(a.way.visited_at)
        await key.clock.advance(10.0)
        assert len(a.way.visited_at) - asked == pytest.approx(10.0 / HEARTBEAT, abs=1)

    async def test_who_waits_moves_over_when_the_store_is_back_and_it_hears_of_everything(
        self, key: Key
    ) -> None:
        rate = RateLimit(4, 60.0)
        a, b = key.process(rate, local_share=0.5), key.process(rate, local_share=0.5)
        await b.limiter.refresh()
        await cut_off(a)
        await a.call(*"abcde")
        await a.answer("a")
        await key.clock.advance(5.0)
        assert key.names == ["a", "b"]
        a.way.trouble = None
        await key.clock.advance(HEARTBEAT + STATE_LOSS_PAUSE)
        assert key.names == list("abcd")
        await b.limiter.refresh()
        budget = b.limiter.budget()
        assert (budget.in_flight, budget.used, budget.waiting) == (3, 1, 1)
        await a.answer("b")  # a slot of the share, and by now one of the store's
        await key.clock.advance(60.25 - 5.0 - HEARTBEAT - STATE_LOSS_PAUSE)
        assert key.names == list("abcde")

    async def test_who_moves_over_has_no_more_patience_than_it_began_with(self, key: Key) -> None:
        a = key.process(ONE, local_share=1.0)
        await cut_off(a)
        await a.call("a")
        await a.call("patient", max_wait=61.0)  # it looks as if the answer took no time
        await key.clock.advance(10.0)
        a.way.trouble = None
        await key.clock.advance(HEARTBEAT)
        error = await a.error("patient")
        assert isinstance(error, BudgetWaitError)
        assert f"{61.0 - 10.0 - HEARTBEAT:.1f} s are allowed" in str(error)

    async def test_a_call_that_comes_as_the_store_is_back_asks_the_store(self, key: Key) -> None:
        a = key.process(FOUR, local_share=0.25)
        await cut_off(a)
        await a.call("a")
        a.way.trouble = None
        await key.clock.advance(HEARTBEAT + STATE_LOSS_PAUSE)
        await a.call("b", "c", "d")
        assert key.names == list("abcd")

    async def test_a_second_outage_begins_with_what_the_first_one_spent(self, key: Key) -> None:
        a = key.process(RateLimit(8, 60.0), local_share=0.25)
        await cut_off(a)
        await a.call("a")
        a.way.trouble = None
        await key.clock.advance(HEARTBEAT + STATE_LOSS_PAUSE)
        await cut_off(a)
        await a.call("b", "c")
        assert key.names == ["a", "b"]
        await a.hand_back("a")
        assert key.names == ["a", "b", "c"]

    async def test_a_pause_goes_on_in_an_outage(self, key: Key) -> None:
        a = key.process(FOUR, local_share=1.0)
        await a.call("a", "b")
        await a.refuse("a", 90.0)
        await key.clock.advance(1.0)
        await cut_off(a)
        await a.call("c", "d")
        assert not a.limiter.is_valid(a.slots["b"])
        await a.hand_back("b")
        await key.clock.advance(28.0)
        assert key.names == ["a", "b"]
        await key.clock.advance(1.0)
        assert key.let_go[2:] == [("c", 1090.0)]
        assert a.limiter.is_valid(a.slots["c"])
        await a.answer("c")
        await a.call("e", "f", "g")
        assert key.names == list("abcdef")
        assert a.limiter.is_valid(a.slots["d"])

    async def test_so_does_one_that_another_process_met_with(self, key: Key) -> None:
        a, b = key.process(FOUR, local_share=1.0), key.process(FOUR)
        await b.call("b")
        await b.refuse("b", 90.0)
        await a.limiter.refresh()
        await cut_off(a)
        await a.call("a")
        await key.clock.advance(30.0)
        assert key.let_go[1:] == [("a", 1090.0)]

    async def test_and_one_that_began_before_anybody_knew_it_for_an_outage(self, key: Key) -> None:
        a = key.process(FOUR, local_share=1.0)
        await a.call("a")
        a.way.trouble = AWAY
        await a.refuse("a", 90.0)
        await a.call("again", requeued=True)
        await key.clock.advance(89.0)
        assert key.names == ["a"]
        await key.clock.advance(1.0)
        assert key.let_go[1:] == [("again", 1090.0)]

    async def test_a_429_in_an_outage_pauses_the_others_when_it_is_over(self, key: Key) -> None:
        a, b = key.process(FOUR, local_share=1.0), key.process(FOUR)
        await b.limiter.refresh()
        await cut_off(a)
        await a.call("a", "b")
        await a.refuse("a", 30.0)
        assert not a.limiter.is_valid(a.slots["b"])
        a.way.trouble = None
        await key.clock.advance(HEARTBEAT)
        assert not a.limiter.is_valid(a.slots["b"])
        await b.limiter.refresh()
        assert b.limiter.budget().gate_closed_for == 30.0 - HEARTBEAT

    async def test_a_store_that_is_back_and_is_none_for_us_says_so(self, key: Key) -> None:
        a, other = key.process(ONE, local_share=1.0), key.process(FOUR)
        await other.call("other")
        await cut_off(a)
        await a.call("a", "b", "c")
        asked = len(a.way.visited_at)
        a.way.trouble = None
        await key.clock.advance(HEARTBEAT)
        for name in "bc":
            error = await a.error(name)
            assert isinstance(error, ConfigurationError)
            assert "other rates" in str(error)
        assert len(a.way.visited_at) == asked + 1, "it would say the same to each"
        await a.call("d")
        assert isinstance(await a.error("d"), ConfigurationError)
        await a.answer("a")

    async def test_who_lives_on_it_is_turned_away_when_the_limiter_is_closed(
        self, key: Key
    ) -> None:
        a = key.process(ONE, local_share=1.0)
        await cut_off(a)
        await a.call("a", "b")
        await a.limiter.aclose()
        assert "closed" in str(await a.error("b"))
        asked = len(a.way.visited_at)
        await key.clock.advance(10.0)
        assert len(a.way.visited_at) == asked

    @pytest.mark.parametrize("turns", range(6))
    async def test_nor_does_anybody_begin_to_who_hears_of_both_in_one_moment(
        self, key: Key, turns: int
    ) -> None:
        a = key.process(ONE, local_share=1.0)
        await a.call("a")
        a.way.trouble = AWAY
        await a.call("b")
        a.way.answers.clear()
        await key.clock.advance(SILENCE)
        closing = asyncio.ensure_future(a.limiter.aclose())
        for _ in range(turns):
            await asyncio.sleep(0)
        a.way.answers.set()
        await closing
        assert "closed" in str(await a.error("b"))

    async def test_nobody_is_left_waiting_when_the_clerk_is_cancelled_before_an_outage(
        self, key: Key
    ) -> None:
        a = key.process(ONE, local_share=1.0)
        await a.call("a", "b")
        clerk = a.limiter._session()._sync_task
        assert clerk is not None
        clerk.cancel()
        await key.clock.advance(0)
        assert isinstance(await a.error("b"), ConnectionFailedError)


class TestAStoreThatForgets:
    async def test_it_is_told_everything_anew_before_anybody_goes(self, key: Key) -> None:
        a, b = key.process(FOUR), key.process(FOUR)
        await a.call("a1", "a2")
        await b.call("b1", "b2")
        await a.answer("a1")
        await a.call("a3")
        await b.call("b3", "b4")
        await key.clock.advance(HEARTBEAT)
        forget(key)
        await key.clock.advance(HEARTBEAT)
        await a.limiter.refresh()
        budget = a.limiter.budget()
        assert (budget.in_flight, budget.used, budget.waiting) == (3, 1, 3)
        assert 0.0 < budget.gate_closed_for <= STATE_LOSS_PAUSE
        await key.clock.advance(60.25)
        assert len(key.names) == 5

    async def test_who_only_waits_knows_that_it_has_forgotten_the_others(self, key: Key) -> None:
        a, b = key.process(FOUR), key.process(FOUR)
        await a.call(*"abcd")
        await a.answer("a")
        await b.call("b1", "b2")
        forget(key)
        await b.limiter.refresh()  # it comes first
        await key.clock.advance(STATE_LOSS_PAUSE + HEARTBEAT)
        assert key.names == list("abcd")
        await key.clock.advance(60.0)
        assert key.names == [*"abcd", "b1"]

    async def test_places_are_taken_up_again_in_their_order(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a", "b", "c")
        forget(key)
        a.way.trouble = AWAY
        await a.call("d")
        a.way.trouble = None
        await key.clock.advance(HEARTBEAT + STATE_LOSS_PAUSE)
        await a.hand_back("a")
        for name in "bcd":
            await key.clock.advance(HEARTBEAT)
            await a.hand_back(name)
        assert key.names == list("abcd")

    async def test_nothing_is_held_up_where_nothing_can_have_been_forgotten(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a")
        await a.answer("a")
        await key.clock.advance(100.0)
        forget(key)
        await a.call("b")
        assert key.names == ["a", "b"]

    async def test_who_never_saw_the_store_but_its_absence_gives_others_time_to_come(
        self, key: Key
    ) -> None:
        a, b = key.process(FOUR, local_share=0.5), key.process(FOUR, local_share=0.5)
        await cut_off(a)
        await cut_off(b)
        await a.call("a1", "a2", "a3")
        await b.call("b1", "b2", "b3")
        await a.answer("a1", "a2")
        a.way.trouble = b.way.trouble = None
        await key.clock.advance(10.0)
        assert key.names == ["a1", "a2", "b1", "b2"]

    async def test_so_does_one_who_has_nothing_to_tell(self, key: Key) -> None:
        a, b = key.process(FOUR, local_share=0.5), key.process(FOUR)
        await cut_off(a)
        await cut_off(b)
        await a.call("a1", "a2")
        await a.answer("a1", "a2")
        a.way.trouble = b.way.trouble = None
        await b.limiter.refresh()
        await b.call("b1", "b2", "b3", "b4")  # it comes before anybody has told of the two
        await key.clock.advance(10.0)
        assert key.names == ["a1", "a2", "b1", "b2"]

    async def test_no_window_holds_more_than_the_limit_whenever_it_forgets(self) -> None:
        clock = FakeClock()
        key = Key(clock)
        rate = RateLimit(6, 10.0)
        processes = [key.process(rate) for _ in range(3)]
        arrivals: list[float] = []

        async def calls(limiter: SharedLimiter) -> None:
            for _ in range(10):
                slot: Slot = await limiter.acquire("interactive")
                arrivals.append(clock.monotonic())
                await clock.sleep(0.3)
                await limiter.release(slot, Answered(clock.monotonic()))

        async def forgets() -> None:
            for pause in (0.1, 3.3, 10.6, 0.2, 17.0, 1.9):
                await clock.sleep(pause)
                forget(key)

        work = [calls(process.limiter) for process in processes for _ in range(3)]
        await within_virtual_days(clock, asyncio.gather(forgets(), *work))
        await key.aclose()
        assert len(arrivals) == 90
        pairs = zip(arrivals, arrivals[rate.calls :], strict=False)
        assert min(later - first for first, later in pairs) >= rate.hold_seconds
        assert max(arrivals) < 90 / rate.calls * (rate.hold_seconds + 0.3) + 6 * STATE_LOSS_PAUSE


def test_the_timeout_of_these_tests_outlasts_an_outage() -> None:
    assert TIMEOUT > OWNER_TTL + 2 * STATE_LOSS_PAUSE
