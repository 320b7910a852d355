"""Calls of processes that share a budget: who goes when, and how often the store is asked."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from syncro_async.errors import BudgetWaitError, ConfigurationError, ConnectionFailedError
from syncro_async.limiting.budget.messages import SyncRequest, SyncResponse
from syncro_async.limiting.budget.state import HEARTBEAT, OWNER_TTL
from syncro_async.limiting.budget.stored_state import read_state, write_state
from syncro_async.limiting.protocol import Answered, Budget, NotCounted, Slot, Unknown
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.limiter import SharedLimiter
from syncro_async.limiting.shared.local_queue import IN_SHARED_QUEUE
from syncro_async.limiting.shared.store import StoreUnreachableError
from syncro_async.testing.fake_clock import FakeClock
from tests.limiting.shared.memory_store import TIMEOUT, Key, MemoryStore
from tests.limiting.waiters import still_clock, within_virtual_days

ONE = RateLimit(1, 60.0)
TWO = RateLimit(2, 60.0)
MINUTE = RateLimit(60, 60.0)


@pytest.fixture
async def key() -> AsyncIterator[Key]:
    key = Key(still_clock())
    yield key
    await key.aclose()


@pytest.fixture
def collected() -> Iterator[None]:
    """What a test leaves in a closed event loop goes with it, and not in the middle of another."""
    yield
    gc.collect()


class Younger(FakeClock):
    """Shows the time since another one was started."""

    def __init__(self, older: FakeClock) -> None:
        super().__init__()
        self._older = older
        self._started_at = older.monotonic()

    def monotonic(self) -> float:
        return self._older.monotonic() - self._started_at


class TestSlots:
    async def test_a_free_one_is_given_at_once_for_a_single_visit(self, key: Key) -> None:
        a = key.process(TWO)
        assert a.limiter.rates == (TWO,)
        await a.call("a")
        assert a.slots["a"].taken_at == 1000.0
        assert len(a.way.visited_at) == 1

    async def test_the_next_goes_window_and_guard_after_the_answer_and_nobody_polls(
        self, key: Key
    ) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("a")
        await key.clock.advance(7.0)
        await a.answer("a")
        await b.call("b")
        asked = len(b.way.visited_at)
        await key.clock.advance(60.0)
        assert key.names == ["a"]
        await key.clock.advance(0.25)
        assert key.let_go == [("a", 1000.0), ("b", 1067.25)]
        # A sign of life each half second, and one visit for the slot.
        assert len(b.way.visited_at) - asked == 60 / HEARTBEAT + 1

    async def test_a_process_none_of_whose_slots_count_never_asks(self, key: Key) -> None:
        a = key.process(TWO)
        await a.call("a")
        await a.answer("a")
        await key.clock.advance(HEARTBEAT)
        assert len(a.way.visited_at) == 2
        await key.clock.advance(60.25)
        asked = len(a.way.visited_at)
        await key.clock.advance(1000.0)
        # A heartbeat while its slot counts, and one visit to leave.
        assert len(a.way.visited_at) == asked == pytest.approx(60.25 / HEARTBEAT, abs=4)

    async def test_one_handed_back_goes_to_who_waits_elsewhere_at_its_next_sign_of_life(
        self, key: Key
    ) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("a")
        await b.call("b")
        await a.hand_back("a")
        await key.clock.advance(HEARTBEAT)
        assert key.let_go == [("a", 1000.0), ("b", 1000.0 + HEARTBEAT)]

    async def test_one_whose_fate_is_unknown_returns_five_seconds_later(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a")
        await a.settle(Unknown(), "a")
        await a.call("b")
        await key.clock.advance(65.0)
        assert key.names == ["a"]
        await key.clock.advance(0.25)
        assert key.let_go[-1] == ("b", 1065.25)

    async def test_a_slot_is_settled_once(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a")
        slot = a.slots["a"]
        await a.answer("a")
        await a.limiter.release(slot, NotCounted())
        await a.call("b")
        assert key.names == ["a"]

    async def test_a_window_shorter_than_a_heartbeat_is_used_to_the_last_slot(
        self, key: Key
    ) -> None:
        a = key.process(RateLimit(1, 0.125, guard=0.0))
        await a.call(*"01234567")
        for name in "01234567":
            await a.answer(name)
            await key.clock.advance(0.125)
        assert [at for _, at in key.let_go] == [1000.0 + 0.125 * number for number in range(8)]

    async def test_rounding_does_not_have_the_store_asked_for_ever(self) -> None:
        # What this host's clock shows is too large a number for what is left to wait at the end.
        clock = FakeClock(start=2.0**30, autojump=False)
        key = Key(clock, MemoryStore(Younger(clock)))
        a = key.process(RateLimit(1, 0.6, guard=0.0))
        await a.call("a")
        await a.answer("a")
        await a.call("b")
        asked = len(a.way.visited_at)
        await key.clock.advance(1.0)
        assert key.names == ["a", "b"]
        assert key.let_go[1][1] - key.let_go[0][1] == pytest.approx(0.6, abs=1e-5)
        assert len(a.way.visited_at) - asked <= 4
        await key.aclose()

    async def test_several_limits_hold_at_once(self, key: Key) -> None:
        a = key.process(RateLimit(2, 10.0, guard=0.0), RateLimit(3, 60.0, guard=0.0))
        await a.call(*"abcde")
        await a.answer(*"ab")
        await key.clock.advance(10.0)
        await a.answer("c")
        await key.clock.advance(60.0)
        assert key.let_go == [
            ("a", 1000.0),
            ("b", 1000.0),
            ("c", 1010.0),
            ("d", 1060.0),
            ("e", 1060.0),
        ]

    async def test_a_burst_holds_for_all_processes_together(self, key: Key) -> None:
        paced = RateLimit(60, 60.0, burst=2)
        a, b = key.process(paced), key.process(paced)
        await a.call(*"abcd")
        await b.call("e")
        assert key.names == ["a", "b"]
        assert a.limiter.budget().available == 0
        await a.answer("a")
        await key.clock.advance(2.5)
        assert key.let_go[2:] == [("c", 1001.0), ("d", 1002.0)]
        await key.clock.advance(0.5)
        assert key.let_go[4:] == [("e", 1003.0)]


class TestLongQueues:
    async def test_more_calls_than_the_shared_queue_holds_go_in_their_order(self, key: Key) -> None:
        many = RateLimit(1000, 60.0)
        a = key.process(many)
        names = [str(number) for number in range(2 * IN_SHARED_QUEUE + 44)]
        await a.call(*names)
        assert key.names == names
        assert len(a.way.visited_at) == 3
        assert key.clock.monotonic() == 1000.0

    async def test_the_others_wait_behind_and_follow(self, key: Key) -> None:
        a = key.process(ONE)
        names = [str(number) for number in range(IN_SHARED_QUEUE + 10)]
        await a.call("first")
        await a.call(*names)
        await a.call("bulk", lane="bulk")
        budget = a.limiter.budget()
        assert (budget.waiting, budget.waiting_bulk) == (len(names) + 1, 1)
        await a.call("again", requeued=True)
        await a.answer("first")
        for name in ("again", *names[:3]):
            await key.clock.advance(60.25)
            await a.answer(name)
        assert key.names == ["first", "again", *names[:3]]
        assert a.limiter.budget().waiting == len(names) + 1 - 3

    async def test_who_leaves_there_leaves_without_a_trace(self, key: Key) -> None:
        a = key.process(RateLimit(IN_SHARED_QUEUE + 2, 60.0, guard=0.0))
        await a.call(*(f"early {number}" for number in range(IN_SHARED_QUEUE + 2)))
        await a.call(*(f"late {number}" for number in range(IN_SHARED_QUEUE)))
        await a.call(*"abc")
        asked = len(a.way.visited_at)
        await a.cancel("b")
        assert len(a.way.visited_at) == asked
        assert a.limiter.budget().waiting == IN_SHARED_QUEUE + 2
        await a.answer(*list(a.slots))
        await key.clock.advance(60.0)
        assert key.names[-3:] == [f"late {IN_SHARED_QUEUE - 1}", "a", "c"]

    async def test_a_place_behind_the_queue_is_judged_too(self, key: Key) -> None:
        a = key.process(RateLimit(1, 10.0, guard=0.0))
        await a.call("first")
        await a.answer("first")
        await a.call(*(str(number) for number in range(IN_SHARED_QUEUE)))
        await a.call("patient", max_wait=10.0 * (IN_SHARED_QUEUE + 1))
        await a.call("hasty", max_wait=10.0 * (IN_SHARED_QUEUE + 1))
        error = await a.error("hasty")
        assert isinstance(error, BudgetWaitError)
        assert error.wait_needed == 10.0 * (IN_SHARED_QUEUE + 2)
        assert not a.tasks["patient"].done()


class TestLanes:
    async def test_first_come_first_served_among_processes(self, key: Key) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("1")
        await b.call("2")
        await a.call("3")
        await b.call("4")
        holders = {"1": a, "2": b, "3": a, "4": b}
        for name in "123":
            await holders[name].answer(name)
            await key.clock.advance(60.25)
        assert key.names == list("1234")

    async def test_interactive_calls_overtake_the_bulk_of_another_process(self, key: Key) -> None:
        importer, web = key.process(ONE), key.process(ONE)
        await importer.call("b1", "b2", "b3", lane="bulk")
        await web.call("i1", "i2")
        await importer.hand_back("b1")
        await key.clock.advance(HEARTBEAT)
        await web.hand_back("i1")
        assert key.names == ["b1", "i1", "i2"]
        await web.hand_back("i2")
        await key.clock.advance(HEARTBEAT)
        assert key.names[3:] == ["b2"]

    async def test_every_fifth_slot_at_least_is_bulks(self, key: Key) -> None:
        importer, web = key.process(ONE), key.process(ONE)
        await web.call("first")
        await importer.call(*(f"b{number}" for number in range(3)), lane="bulk")
        await web.call(*(f"i{number}" for number in range(10)))
        holder = "first"
        while holder != "i9":
            process = web if holder[0] in "fi" else importer
            await process.hand_back(holder)
            await key.clock.advance(HEARTBEAT)
            holder = key.names[-1]
        lanes = "".join(name[0] for name in key.names)
        assert lanes == "fiiiibiiiibii"

    async def test_who_was_turned_away_by_the_server_goes_first(self, key: Key) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("a")
        await b.call("b1", "b2")
        await a.call("again", requeued=True)
        await a.hand_back("a")
        assert key.names == ["a", "again"]


class TestLeaving:
    async def test_a_cancelled_waiter_hands_its_turn_on(self, key: Key) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("a", "gone")
        await b.call("b")
        await a.cancel("gone")
        await a.answer("a")
        await key.clock.advance(60.25)
        assert key.let_go[1:] == [("b", 1060.25)]

    @pytest.mark.parametrize("moment", ["before", "after"])
    async def test_one_cancelled_as_it_is_given_its_slot_hands_that_on(
        self, key: Key, moment: str
    ) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("a")
        await a.call("gone")
        await b.call("b")
        gone = a.tasks["gone"]
        loop = asyncio.get_running_loop()
        errors: list[object] = []
        loop.set_exception_handler(lambda _, context: errors.append(context))
        a.way.as_answer_comes = (
            gone.cancel if moment == "before" else lambda: loop.call_soon(gone.cancel)
        )
        await a.hand_back("a")
        assert gone.cancelled()
        await key.clock.advance(HEARTBEAT)
        assert key.names == ["a", "b"]
        assert b.limiter.budget().in_flight == 1
        gc.collect()
        assert errors == []

    async def test_one_cancelled_while_the_store_gives_it_a_slot_hands_that_on(
        self, key: Key
    ) -> None:
        a, b = key.process(ONE), key.process(ONE)
        a.way.answers.clear()
        await a.call("gone")
        await a.cancel("gone")
        await b.call("b")
        assert key.names == []
        a.way.answers.set()
        await key.clock.advance(HEARTBEAT)
        assert key.names == ["b"]
        assert not a.limiter._session()._outbox

    async def test_of_two_cancelled_one_after_the_other_neither_is_given_the_slot(
        self, key: Key
    ) -> None:
        a = key.process(ONE)
        await a.call("a", "b", "c", "d")
        await a.cancel("b")
        await a.cancel("c")
        await a.hand_back("a")
        assert key.names == ["a", "d"]

    async def test_one_cancelled_as_it_is_turned_away_leaves_all_the_same(self, key: Key) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await b.call("b")
        await a.call("a", max_wait=1000.0)
        a.way.as_answer_comes = a.tasks["a"].cancel
        await b.refuse("b", 2000.0)
        await key.clock.advance(HEARTBEAT)
        assert a.tasks["a"].cancelled()
        await b.limiter.refresh()
        assert b.limiter.budget().waiting == 0

    async def test_leaving_in_the_moment_the_slot_is_due_does_not_lose_it(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a")
        await a.answer("a")
        await a.call("b", "c")
        gone = a.tasks["b"]
        key.clock.call_at(1060.25, gone.cancel)
        await key.clock.advance(61.0)
        assert key.let_go[1:] == [("c", 1060.25)]


class TestPatience:
    async def test_a_call_without_any_goes_when_a_slot_is_free(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a", max_wait=0.0)
        assert key.names == ["a"]

    async def test_too_long_a_wait_is_refused_at_once_and_spends_nothing(self, key: Key) -> None:
        a, b = key.process(TWO), key.process(TWO)
        await a.call("a", "b")
        await a.answer("a", "b")
        await a.limiter.refresh()
        await b.call("c", max_wait=60.0)
        error = await b.error("c")
        assert isinstance(error, BudgetWaitError)
        assert str(error).startswith("the call's turn in the budget is 60.2 s away, 60.0 s are all")
        assert error.wait_needed == 60.25
        await key.clock.advance(0)
        assert key.clock.monotonic() == 1000.0
        budget = b.limiter.budget()
        assert (budget.waiting, budget.in_flight, budget.next_free_in) == (0, 0, 60.25)

    async def test_a_wait_that_fits_to_the_second_is_waited_for(self, key: Key) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("a")
        await a.answer("a")
        await b.call("b", max_wait=60.25)
        await key.clock.advance(60.25)
        assert key.let_go[1:] == [("b", 1060.25)]

    async def test_the_queue_of_all_processes_counts(self, key: Key) -> None:
        rate = RateLimit(1, 10.0, guard=0.0)
        a, b = key.process(rate), key.process(rate)
        await a.call("first")
        await a.answer("first")
        await a.call("a1", "a2")
        await b.call("b1", max_wait=0.0)
        error = await b.error("b1")
        assert isinstance(error, BudgetWaitError)
        assert error.wait_needed == 30.0

    async def test_an_estimate_that_was_too_hopeful_is_not_believed_for_ever(
        self, key: Key
    ) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("a")
        await b.call("b", max_wait=61.0)  # it looks as if the answer took no time
        await key.clock.advance(30.0)
        await a.answer("a")
        await key.clock.advance(30.5)
        assert not b.tasks["b"].done()
        await key.clock.advance(0.5)
        error = await b.error("b")
        assert isinstance(error, BudgetWaitError)
        assert "longer than allowed" in str(error)
        assert error.wait_needed == pytest.approx(29.25)
        assert key.clock.monotonic() == 1061.0
        await key.clock.advance(100.0)
        assert key.names == ["a"]

    async def test_who_was_turned_away_out_of_the_queue_is_told_a_second_at_least(
        self, key: Key
    ) -> None:
        a = key.process(ONE)
        await a.call("a")
        await a.call("b", max_wait=60.5)  # it looks as if the answer took no time
        await key.clock.advance(0.5)
        await a.answer("a")
        await key.clock.advance(60.0)
        error = await a.error("b")
        assert isinstance(error, BudgetWaitError)
        assert error.wait_needed == 1.0

    async def test_who_is_turned_away_at_once_is_told_the_wait_as_it_is(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a")
        await a.answer("a")
        await key.clock.advance(60.0)
        await a.call("b", max_wait=0.125)
        error = await a.error("b")
        assert isinstance(error, BudgetWaitError)
        assert error.wait_needed == pytest.approx(0.25)

    async def test_the_store_is_not_asked_when_patience_ends_that_is_needed_no_more(
        self, key: Key
    ) -> None:
        a = key.process(ONE)
        await a.call("a")
        await a.answer("a")
        await a.call("b", max_wait=61.125)
        await key.clock.advance(62.0)
        assert key.names == ["a", "b"]
        assert 1061.125 not in a.way.visited_at

    async def test_who_has_none_and_would_be_next_is_told_so_too(self, key: Key) -> None:
        a, b = key.process(MINUTE), key.process(MINUTE)
        await a.call("a")
        await a.refuse("a", 5.0)
        await key.clock.advance(5.0)
        await a.call("opener")
        await b.call("b", max_wait=0.0)  # how long the opener takes nobody knows yet
        error = await b.error("b")
        assert isinstance(error, BudgetWaitError)
        assert error.wait_needed == 1.0

    async def test_a_pause_that_cannot_be_outwaited_turns_waiters_of_all_processes_away(
        self, key: Key
    ) -> None:
        a, b = key.process(TWO), key.process(TWO)
        await a.call("a1", "a2")
        await b.call("hasty", max_wait=100.0)
        await b.call("patient", max_wait=1000.0)
        await a.refuse("a1", 300.0)
        await key.clock.advance(HEARTBEAT)
        error = await b.error("hasty")
        assert isinstance(error, BudgetWaitError)
        assert error.wait_needed == pytest.approx(299.5, abs=1.0)
        assert not b.tasks["patient"].done()

    @pytest.mark.parametrize("seed", range(3))
    async def test_what_is_told_is_true_within_a_fifth_on_a_steady_queue(self, seed: int) -> None:
        clock = FakeClock()
        key, dice = Key(clock), random.Random(seed)  # noqa: S311 - no secret
        rate = RateLimit(10, 10.0)
        processes = [key.process(rate) for _ in range(3)]
        told: list[float] = []
        waited: list[float] = []

        async def works(limiter: SharedLimiter) -> None:
            while len(waited) < 12:
                slot = await limiter.acquire("interactive")
                await clock.sleep(dice.uniform(0.2, 0.6))
                await limiter.release(slot, Answered(clock.monotonic()))

        async def asks(limiter: SharedLimiter) -> None:
            before = clock.monotonic()
            with pytest.raises(BudgetWaitError) as caught:
                await limiter.acquire("interactive", max_wait=0.0)
            told.append(caught.value.wait_needed)
            slot = await limiter.acquire("interactive")
            waited.append(slot.taken_at - before)
            await limiter.release(slot, NotCounted())

        async def probes() -> None:
            await clock.sleep(60.0)
            for _ in range(12):
                await asks(dice.choice(processes).limiter)
                await clock.sleep(dice.uniform(0.0, 5.0))

        workers = [works(process.limiter) for process in processes for _ in range(12)]
        await within_virtual_days(clock, asyncio.gather(probes(), *workers))
        await key.aclose()
        assert min(waited) > 20.0
        assert told == [pytest.approx(truth, rel=0.2) for truth in waited]


class TestPauses:
    async def test_a_429_in_one_process_pauses_the_others_and_one_goes_alone_after_it(
        self, key: Key
    ) -> None:
        a, b = key.process(MINUTE), key.process(MINUTE)
        await a.call("a1", "a2")
        await b.call("b1")
        assert b.limiter.is_valid(b.slots["b1"])
        await a.refuse("a1", 10.0)
        assert not a.limiter.is_valid(a.slots["a2"])
        await key.clock.advance(HEARTBEAT)
        assert not b.limiter.is_valid(b.slots["b1"])
        assert b.limiter.budget().gate_closed_for == 9.5
        assert b.limiter.budget().available == 0
        await b.hand_back("b1")
        await b.call("b1 again", requeued=True)
        await b.call("b2")
        await a.call("a1 again", requeued=True)
        await key.clock.advance(9.0)
        assert key.names == ["a1", "a2", "b1"]
        await key.clock.advance(2.0)
        assert key.let_go[3:] == [("b1 again", 1010.0)]
        opener = b.slots["b1 again"]
        assert opener.is_probe
        assert b.limiter.is_valid(opener)
        assert a.limiter.budget().available == 0
        await b.answer("b1 again")
        assert key.let_go[4:] == [("b2", 1011.5)]
        await key.clock.advance(HEARTBEAT)
        assert key.names[5:] == ["a1 again"]
        assert b.limiter.is_valid(b.slots["b2"])
        assert not a.slots["a1 again"].is_probe

    async def test_the_gate_is_closed_here_as_soon_as_the_429_is_known_here(self, key: Key) -> None:
        a = key.process(MINUTE)
        await a.call("a1", "a2", "a3")
        slots = dict(a.slots)
        a.way.answers.clear()
        await a.call("a4")  # a visit is under way, which knows nothing of the 429
        await a.refuse("a1", 10.0)
        assert not a.limiter.is_valid(slots["a2"])
        a.way.as_answer_comes = a.way.answers.clear  # and the next one has to wait again
        a.way.answers.set()
        await key.clock.advance(0)
        assert key.names[-1] == "a4"
        assert not a.limiter.is_valid(slots["a2"])
        a.way.as_answer_comes = lambda: None
        a.way.answers.set()

    async def test_an_opener_that_is_refused_closes_the_gate_again(self, key: Key) -> None:
        a, b = key.process(MINUTE), key.process(MINUTE)
        await a.call("a")
        await a.refuse("a", 5.0)
        await a.call("a again", requeued=True)
        await b.call("b")
        await key.clock.advance(5.0)
        await a.refuse("a again", 7.0)
        await key.clock.advance(6.0)
        assert key.names == ["a", "a again"]
        assert b.limiter.budget().foreign_estimate == 0
        await key.clock.advance(1.0)
        assert key.let_go[2:] == [("b", 1012.0)]

    async def test_strangers_learned_of_by_one_are_known_to_all(self, key: Key) -> None:
        a, b = key.process(RateLimit(10, 60.0)), key.process(RateLimit(10, 60.0))
        await a.call("a")
        await a.answer("a")
        await key.clock.advance(100.0)
        await a.call(*(f"a{number}" for number in range(8)))
        await a.answer(*(f"a{number}" for number in range(7)))
        await a.refuse("a7", 30.0)
        await b.limiter.refresh()
        budget = b.limiter.budget()
        assert (budget.foreign_estimate, budget.limit) == (3, 7)
        await key.clock.advance(60.25)
        await b.call("b")
        assert b.slots["b"].foreign == 3

    async def test_a_server_that_has_counted_more_than_ours_leaves_us_the_rest(
        self, key: Key
    ) -> None:
        a = key.process(RateLimit(10, 60.0))
        await a.call("a")
        await a.settle(Answered(key.clock.monotonic(), 2), "a")
        await a.call(*"bcde")
        assert key.names == ["a", "b", "c"]
        assert a.limiter.budget().available == 0


class TestDeath:
    async def test_places_lapse_within_two_seconds_and_slots_after_timeout_and_window(
        self, key: Key
    ) -> None:
        a, b = key.process(TWO), key.process(TWO)
        await a.call("a1")
        await key.clock.advance(1.0)
        await a.call("a2", "a3", "a4")
        a.die()
        await b.call("b1", max_wait=2 * (60.25 + TIMEOUT) + OWNER_TTL)
        assert b.limiter.budget().waiting == 3
        await key.clock.advance(2.0)
        assert b.limiter.budget().waiting == 1
        await key.clock.advance(60.25 + TIMEOUT + HEARTBEAT)
        # Its last heartbeat was at 1001: until OWNER_TTL later it could have sent.
        ((name, went_at),) = key.let_go[2:]
        assert name == "b1"
        assert went_at == pytest.approx(1001.0 + OWNER_TTL + TIMEOUT + 60.25, abs=HEARTBEAT)

    async def test_one_that_was_stopped_uses_no_earlier_slot_when_it_goes_on(
        self, key: Key
    ) -> None:
        a = key.process(TWO)
        await a.call("a1")
        assert a.limiter.is_valid(a.slots["a1"])
        a.way.answers.clear()  # as if the whole process were stopped
        await key.clock.advance(OWNER_TTL + HEARTBEAT)
        a.way.answers.set()
        await key.clock.advance(HEARTBEAT)
        assert a.limiter.budget().in_flight == 1, "it has heard from the store again"
        assert not a.limiter.is_valid(a.slots["a1"])
        await a.call("a2")
        assert a.limiter.is_valid(a.slots["a2"])

    async def test_a_slot_of_a_crowded_store_counts_from_the_reading_that_granted_it(self) -> None:
        clock = still_clock()
        inner = MemoryStore(clock)

        class Crowded:
            """A store that other processes make start again for 3 s before it is read last."""

            async def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
                await clock.sleep(3.0)
                return msgspec.structs.replace(await inner.sync(key, visit), delayed_by=3.0)

            async def aclose(self) -> None:
                await inner.aclose()

        key = Key(clock, Crowded())
        a = key.process(TWO)
        await a.call("a1")
        await clock.advance(3.0)
        assert a.limiter.is_valid(a.slots["a1"])
        await clock.advance(OWNER_TTL)
        assert not a.limiter.is_valid(a.slots["a1"])
        a.die()
        await key.aclose()

    async def test_a_slot_on_the_wire_that_the_store_has_lost_is_reported_again(
        self, key: Key
    ) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("a")
        store = key.store
        assert isinstance(store, MemoryStore)
        state = read_state(store.states["k"])
        state.leases.clear()
        store.states["k"] = write_state(state)
        await key.clock.advance(2 * HEARTBEAT)
        await b.call("b")
        assert key.names == ["a"]
        await a.answer("a")
        await key.clock.advance(60.25)
        assert key.names == ["a", "b"]

    async def test_an_opener_that_dies_does_not_keep_the_gate_shut(self, key: Key) -> None:
        a, b = key.process(MINUTE), key.process(MINUTE)
        await a.call("a")
        await a.refuse("a", 5.0)
        await a.call("opener")
        await b.call("b")
        await key.clock.advance(5.0)
        assert key.names == ["a", "opener"]
        a.die()
        await key.clock.advance(2.0 + HEARTBEAT)
        assert key.names[2:] == ["b"]
        assert b.slots["b"].is_probe

    async def test_one_taken_for_dead_joins_again_in_its_order(self, key: Key) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("a")
        await b.call("b1", "b2")
        b.way.answers.clear()
        await key.clock.advance(HEARTBEAT)
        await b.call("b3")  # as after a long sleep: one answer comes, and is old
        await key.clock.advance(3.0)
        await a.call("a2")  # by now the places are gone
        await b.call("b4")
        b.way.answers.set()
        await key.clock.advance(HEARTBEAT)
        holders = {"a": a, "a2": a}
        for _ in range(5):
            name = key.names[-1]
            await holders.get(name, b).hand_back(name)
            await key.clock.advance(HEARTBEAT)
        assert key.names == ["a", "a2", "b1", "b2", "b3", "b4"]


class TestTrouble:
    async def test_a_slot_given_unheard_is_used_by_the_call_it_was_given_to(self, key: Key) -> None:
        a = key.process(ONE)
        a.way.lost_answers = 1
        await a.call("a")
        assert key.names == []
        await key.clock.advance(HEARTBEAT)
        assert key.names == ["a"]
        assert a.limiter.budget().in_flight == 1

    async def test_a_slot_given_unheard_to_one_who_left_is_handed_back(self, key: Key) -> None:
        a, b = key.process(ONE), key.process(ONE)
        a.way.lost_answers = 1
        await a.call("gone")
        await a.cancel("gone")
        await b.call("b")
        await key.clock.advance(HEARTBEAT)
        assert key.names == ["b"]

    async def test_an_answer_told_twice_counts_once(self, key: Key) -> None:
        a = key.process(TWO)
        await a.call("a", "b")
        a.way.lost_answers = 2
        await a.answer("a")
        await key.clock.advance(3 * HEARTBEAT)
        await a.limiter.refresh()
        assert a.limiter.budget().used == 1
        assert a.limiter.budget().in_flight == 1

    async def test_a_place_taken_by_a_visit_that_came_too_late_is_left(self, key: Key) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await b.call("b")
        a.way.delays_visits = True
        await a.call("gone")
        a.way.delays_visits = False
        await a.cancel("gone")
        for waiting in (0, 1, 0):
            await b.limiter.refresh()
            assert b.limiter.budget().waiting == waiting
            await (a.limiter.refresh() if waiting else a.way.arrive_late())

    async def test_so_is_a_slot_given_to_such_a_visit(self, key: Key) -> None:
        a = key.process(ONE)
        a.way.delays_visits = True
        await a.call("gone")
        a.way.delays_visits = False
        await a.cancel("gone")
        await a.way.arrive_late()
        await a.call("b")
        assert key.names == ["b"]
        assert a.limiter.budget().in_flight == 1

    async def test_an_error_of_the_store_is_told_to_who_waits_and_the_store_left_alone(
        self, key: Key
    ) -> None:
        a, b = key.process(ONE), key.process(TWO)
        await a.call("a")
        await b.call("b1", "b2")
        for name in ("b1", "b2"):
            error = await b.error(name)
            assert isinstance(error, ConfigurationError)
            assert "other rates (1 in 60.25 s, guard included)" in str(error)
        with pytest.raises(ConfigurationError, match="other rates"):
            await b.limiter.refresh()
        asked = len(b.way.visited_at)
        await key.clock.advance(10.0)
        assert len(b.way.visited_at) == asked
        await a.hand_back("a")
        await b.call("b3")
        assert key.names == ["a", "b3"]

    async def test_a_store_that_fails_in_a_way_nobody_thought_of_leaves_nobody_waiting(
        self, key: Key
    ) -> None:
        logged: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: logged.append(str(context["exception"])))
        a = key.process(ONE)
        a.way.trouble = ZeroDivisionError("odd")
        await a.call("a")
        error = await a.error("a")
        assert isinstance(error, ConnectionFailedError)
        assert "the task that asks the limiter's store has ended" in str(error)
        with pytest.raises(ConnectionFailedError):
            await a.limiter.refresh()
        a.way.trouble = None
        await a.call("b")
        assert key.names == ["b"]
        await key.aclose()
        assert logged == ["odd", "odd"]

    async def test_a_clerk_that_is_cancelled_leaves_nobody_waiting(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a", "b")
        clerk = a.limiter._session()._sync_task
        assert clerk is not None
        clerk.cancel()
        await key.clock.advance(0)
        assert "has ended" in str(await a.error("b"))
        await a.answer("a")
        await key.clock.advance(10.0)
        assert clerk is a.limiter._session()._sync_task
        await a.call("c")
        await key.clock.advance(50.25)
        assert key.let_go[1:] == [("c", 1060.25)]


class TestBudget:
    async def test_before_the_first_visit_it_is_taken_to_be_whole(self, key: Key) -> None:
        a = key.process(MINUTE, RateLimit(5, 1.0))
        assert a.limiter.budget() == Budget(5, 1.0, 5, 0, 0, 0.0)
        await a.limiter.refresh()
        assert a.limiter.budget() == Budget(5, 1.0, 5, 0, 0, 0.0)

    async def test_it_is_what_all_processes_make_of_it(self, key: Key) -> None:
        rate = RateLimit(3, 60.0, guard=0.0)
        a, b = key.process(rate), key.process(rate)
        await a.call(*"ab")
        await b.call(*"cd")
        await b.call("e", lane="bulk")
        await a.answer("a")
        await key.clock.advance(10.0)
        expected = Budget(3, 60.0, 0, 2, 2, 50.0, waiting_bulk=1, used=1)
        assert b.limiter.budget() == expected
        await a.limiter.refresh()
        assert a.limiter.budget() == expected
        await key.clock.advance(5.0)
        assert a.limiter.budget().next_free_in == 45.0

    async def test_it_goes_on_by_itself_until_the_next_visit(self, key: Key) -> None:
        a = key.process(TWO)
        await a.call("a")
        await a.answer("a")
        await key.clock.advance(1.0)
        assert a.limiter.budget().available == 1
        await key.clock.advance(59.25)
        assert a.limiter.budget().available == 2

    async def test_a_call_the_store_has_yet_to_hear_of_is_counted(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a")
        a.way.answers.clear()
        await a.call("b", "c")
        assert a.limiter.budget().waiting == 2
        a.way.answers.set()
        await key.clock.advance(0)
        assert a.limiter.budget().waiting == 2

    async def test_a_refresh_that_is_cancelled_disturbs_no_other(self, key: Key) -> None:
        a = key.process(ONE)
        a.way.answers.clear()
        gone = asyncio.ensure_future(a.limiter.refresh())
        await key.clock.advance(0)
        later = asyncio.ensure_future(a.limiter.refresh())
        await key.clock.advance(0)
        gone.cancel()
        await key.clock.advance(0)
        a.way.answers.set()
        await asyncio.wait_for(later, 5)
        assert gone.cancelled()
        assert len(a.way.visited_at) == 2  # the first had set out before it was asked for

    async def test_a_refresh_cancelled_in_the_moment_of_an_error_hears_nothing(
        self, key: Key
    ) -> None:
        a = key.process(ONE)
        gone, other = (asyncio.ensure_future(a.limiter.refresh()) for _ in range(2))
        a.way.trouble = StoreUnreachableError("away")
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(
            ConnectionFailedError, match="away; nothing was sent, because the shared budget"
        ):
            await other
        assert gone.cancelled()


class TestClosing:
    async def test_the_last_news_is_told_and_the_store_left(self, key: Key) -> None:
        a, b = key.process(TWO), key.process(TWO)
        await a.call("a1", "a2")
        slot = a.slots["a2"]
        await a.answer("a1")
        await a.limiter.aclose()
        await b.call("b")
        assert b.limiter.budget().used == 1
        assert b.limiter.budget().in_flight == 1
        assert a.way.closed == 1
        asked = len(a.way.visited_at)
        await a.limiter.release(slot, NotCounted())  # too late to be told
        await a.limiter.aclose()
        assert len(a.way.visited_at) == asked

    async def test_who_waits_is_turned_away_and_no_clerk_stays_behind(self, key: Key) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("a", "waiting")
        a.way.answers.clear()
        refreshing = asyncio.ensure_future(a.limiter.refresh())
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(a.limiter.aclose())
        await key.clock.advance(0)
        a.way.answers.set()
        await closing
        for error in (await a.error("waiting"), refreshing.exception()):
            assert isinstance(error, ConfigurationError)
            assert "this client is closed" in str(error)
        asked = len(a.way.visited_at)
        await b.limiter.refresh()
        assert b.limiter.budget().waiting == 0
        await key.clock.advance(10.0)
        assert len(a.way.visited_at) == asked
        with pytest.raises(ConfigurationError, match="closed"):
            await a.limiter.acquire("interactive")

    async def test_a_visit_under_way_is_called_off_and_its_news_told_again(self, key: Key) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("a")
        a.way.answers.clear()
        await a.hand_back("a")
        closing = asyncio.ensure_future(a.limiter.aclose())
        await key.clock.advance(0)
        a.way.answers.set()
        await closing
        await b.call("b")
        assert key.names == ["a", "b"]

    @pytest.mark.parametrize("turns", range(8))
    async def test_a_slot_left_in_this_very_moment_is_told_of_or_not_but_nobody_stays_behind(
        self, key: Key, turns: int
    ) -> None:
        a = key.process(TWO)
        await a.call("a", "on the wire", "gone")
        loop, gone = asyncio.get_running_loop(), a.tasks["gone"]
        a.way.as_answer_comes = lambda: loop.call_soon(gone.cancel)
        await a.limiter.release(a.slots["a"], NotCounted())
        for _ in range(turns):
            await asyncio.sleep(0)
        await a.limiter.aclose()
        asked = len(a.way.visited_at)
        await key.clock.advance(10.0)
        assert len(a.way.visited_at) == asked
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_the_clerk_has_gone_when_it_is_closed(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a")
        await a.limiter.refresh()
        assert len(asyncio.all_tasks()) == 2
        await a.limiter.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_nor_is_it_closed_before_a_visit_has_been_called_off(self) -> None:
        class Slow(MemoryStore):
            """It takes a while to get away from."""

            calls_off = 0

            async def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
                if not self.calls_off:
                    try:
                        await asyncio.get_running_loop().create_future()
                    finally:
                        for _ in range(20):
                            await asyncio.sleep(0)
                            self.calls_off += 1
                return await super().sync(key, visit)

        key = Key(still_clock())
        store = key.store = Slow(key.clock)
        a = key.process(ONE)
        await a.call("a")
        await a.limiter.aclose()
        assert store.calls_off == 20
        assert "closed" in str(await a.error("a"))

    async def test_what_was_never_used_needs_no_visit(self, key: Key) -> None:
        a, b = key.process(ONE), key.process(ONE)
        await a.call("a")
        assert a.limiter.is_valid(a.slots["a"])
        assert not b.limiter.is_valid(a.slots["a"]), "it has not heard from the store"
        await b.limiter.aclose()
        assert (b.way.visited_at, b.way.closed) == ([], 1)

    async def test_a_store_out_of_reach_does_not_keep_anybody_from_closing(self, key: Key) -> None:
        a = key.process(ONE)
        await a.call("a")
        await a.answer("a")
        a.die()
        await a.limiter.aclose()
        assert a.way.closed == 1

    @pytest.mark.usefixtures("collected")
    def test_an_event_loop_that_ends_in_the_middle_leaves_nothing_behind(
        self, recwarn: pytest.WarningsRecorder
    ) -> None:
        clock = still_clock()
        key = Key(clock)
        a = key.process(TWO)
        sent: list[str] = []

        async def send() -> None:
            slot = await a.limiter.acquire("interactive")
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await a.limiter.release(slot, Unknown())
                sent.append("lost")

        async def leave() -> None:
            for _ in range(3):
                asyncio.get_running_loop().create_task(send())
            await clock.advance(0)
            assert a.limiter.budget().in_flight == 2

        asyncio.run(leave())
        assert sent == ["lost", "lost"]

        async def come_back() -> Budget:
            await clock.advance(2.5)
            await a.limiter.refresh()
            return a.limiter.budget()

        # As its event loop ended the desk told what had become of them.
        budget = asyncio.run(come_back())
        assert (budget.in_flight, budget.used) == (0, 2)
        asyncio.run(key.aclose())
        assert not recwarn.list

    @pytest.mark.usefixtures("collected")
    @pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
    def test_nor_does_one_that_is_closed_with_everything_in_it(self) -> None:
        clock = still_clock()
        key = Key(clock)
        a = key.process(TWO)
        settled: list[Slot] = []

        async def send() -> None:
            slot = await a.limiter.acquire("interactive")
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await a.limiter.release(slot, Unknown())
                settled.append(slot)

        async def leave() -> None:
            for _ in range(3):
                asyncio.get_running_loop().create_task(send())
            await clock.advance(0)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave())
        loop.close()
        del loop

        async def come_back() -> int:
            await a.limiter.refresh()
            return a.limiter.budget().in_flight

        assert asyncio.run(come_back()) == 2
        gc.collect()
        assert len(settled) == 2
        asyncio.run(key.aclose())

    @pytest.mark.usefixtures("collected")
    def test_a_call_that_is_given_up_after_its_event_loop_goes_quietly(self) -> None:
        clock = still_clock()
        key = Key(clock)
        a = key.process(ONE)
        first, second = a.limiter.acquire("interactive"), a.limiter.acquire("interactive")

        async def leave() -> None:
            first.send(None)
            second.send(None)
            await clock.advance(0)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave())
        loop.close()
        # What the collector does with a coroutine that nobody holds any more.
        first.close()
        second.close()
        asyncio.run(key.aclose())
        assert key.names == []
