from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from syncro_async import AsyncClient, ConfigurationError, Failed, NotFoundError, Succeeded
from syncro_async.bulk.progress import Progress
from syncro_async.sandbox import Sandbox
from syncro_async.testing import FakeClock, sandbox_client
from tests.bulk.event_loop_turns import until


@pytest.fixture
async def syncro() -> AsyncIterator[AsyncClient]:
    async with sandbox_client(leads=200) as client:
        yield client


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def slowest_first(number: int) -> int:
    for _ in range(100 - number):
        await asyncio.sleep(0)
    return number


async def test_every_item_has_one_outcome(syncro: AsyncClient) -> None:
    seen = {}
    async with syncro.bulk.map(double, range(1000)) as outcomes:
        async for outcome in outcomes:
            assert isinstance(outcome, Succeeded)
            assert outcome.index == outcome.item
            seen[outcome.item] = outcome.value
    assert seen == {number: 2 * number for number in range(1000)}


async def test_an_exception_belongs_to_its_item_alone(syncro: AsyncClient) -> None:
    outcomes: list[Any] = []
    async with syncro.bulk.map(syncro.leads.get, [1, 999_999, 2]) as some:
        async for outcome in some:
            match outcome:
                case Succeeded(index, item, lead):
                    outcomes.append((index, item, lead.id))
                case Failed(index, item, error):
                    assert isinstance(error, NotFoundError)
                    outcomes.append((index, item, None))
    assert sorted(outcomes) == [(0, 1, 1), (1, 999_999, None), (2, 2, 2)]


async def test_outcomes_come_as_they_finish_or_in_the_items_order(syncro: AsyncClient) -> None:
    async def order(*, ordered: bool) -> list[int]:
        items = range(10, 100, 10)
        async with syncro.bulk.map(slowest_first, items, ordered=ordered) as outcomes:
            return [outcome.item async for outcome in outcomes]

    assert await order(ordered=False) == [90, 80, 70, 60, 50, 40, 30, 20, 10]
    assert await order(ordered=True) == [10, 20, 30, 40, 50, 60, 70, 80, 90]


@pytest.mark.parametrize("ordered", [True, False])
async def test_no_more_items_are_taken_than_are_at_work_or_wait(
    syncro: AsyncClient, *, ordered: bool
) -> None:
    taken = at_work = most_at_work = read = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            assert taken <= read + 2 * 5 + 1
            yield taken

    async def work(number: int) -> int:
        nonlocal at_work, most_at_work
        at_work += 1
        most_at_work = max(at_work, most_at_work)
        for _ in range(number % 7):
            await asyncio.sleep(0)
        at_work -= 1
        return number

    async with syncro.bulk.map(work, endless(), concurrency=5, ordered=ordered) as outcomes:
        async for _ in outcomes:
            read += 1
            if read % 10 == 0:
                for _ in range(50):
                    await asyncio.sleep(0)
            if read == 500:
                break
    assert most_at_work == 5
    assert at_work == 0 or at_work < 5


async def test_an_async_iterable_is_read_as_it_goes_and_closed_when_the_block_is_left(
    syncro: AsyncClient,
) -> None:
    ended = []

    class Numbers:
        async def __aiter__(self) -> AsyncIterator[int]:
            try:
                for number in range(1_000_000):
                    yield number
            finally:
                ended.append("own")

    async with syncro.bulk.map(double, Numbers()) as outcomes:
        async for _ in outcomes:
            break
    assert ended == ["own"]
    async with syncro.bulk.map(syncro.leads.get, aiter(Ids(5))) as leads:
        assert len([lead async for lead in leads]) == 5


class Ids:
    """An iterator that is no generator: there is nothing to close."""

    def __init__(self, last: int) -> None:
        self._next = iter(range(1, last + 1))

    def __aiter__(self) -> Ids:
        return self

    async def __anext__(self) -> int:
        try:
            return next(self._next)
        except StopIteration:
            raise StopAsyncIteration from None


async def test_a_generator_of_the_callers_own_may_be_gone_on_with(syncro: AsyncClient) -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(100):
            yield number

    source = numbers()
    async with syncro.bulk.map(double, source, concurrency=1) as outcomes:
        async for _ in outcomes:
            break
    assert await anext(source) < 10


async def test_leaving_the_block_cancels_and_awaits_what_runs(syncro: AsyncClient) -> None:
    begun: set[int] = set()
    ended: set[int] = set()

    async def stand(number: int) -> None:
        begun.add(number)
        try:
            if number:
                await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.add(number)

    before = asyncio.all_tasks()
    async with syncro.bulk.map(stand, range(100), concurrency=7) as outcomes:
        assert (await anext(outcomes)).item == 0
        await until(lambda: len(begun) == 8)
    assert begun == ended
    assert len(begun) == 8
    assert asyncio.all_tasks() == before
    with pytest.raises(ConfigurationError, match="block was left"):
        await anext(outcomes)


async def test_a_cancelled_reader_takes_everything_along(syncro: AsyncClient) -> None:
    running = 0

    async def stand(_: int) -> None:
        nonlocal running
        running += 1
        try:
            await asyncio.Event().wait()
        finally:
            running -= 1

    async def read() -> None:
        async with syncro.bulk.map(stand, range(100)) as outcomes:
            async for _ in outcomes:
                pass

    reading = asyncio.create_task(read())
    await until(lambda: running == 20)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert running == 0


async def test_items_that_raise_end_the_run_after_what_was_begun(syncro: AsyncClient) -> None:
    def broken() -> Iterator[int]:
        yield from range(3)
        raise RuntimeError("no more")

    async with syncro.bulk.map(double, broken()) as outcomes:
        assert sorted([(await anext(outcomes)).item for _ in range(3)]) == [0, 1, 2]
        with pytest.raises(RuntimeError, match="no more"):
            await anext(outcomes)


async def test_what_is_no_exception_is_raised_where_the_outcomes_are_read(
    syncro: AsyncClient,
) -> None:
    class Halt(BaseException):
        pass

    async def halt(_: int) -> None:
        raise Halt

    with pytest.raises(Halt):
        async with syncro.bulk.map(halt, [1]) as outcomes:
            await anext(outcomes)


async def test_no_items_are_no_outcomes(syncro: AsyncClient) -> None:
    nothing: list[int] = []
    async with syncro.bulk.map(double, nothing) as outcomes:
        assert [outcome async for outcome in outcomes] == []


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True])
async def test_a_concurrency_that_cannot_be_is_refused(
    syncro: AsyncClient, concurrency: Any
) -> None:
    with pytest.raises(ValueError, match="concurrency"):
        syncro.bulk.map(double, [1], concurrency=concurrency)


async def test_two_readers_share_the_outcomes(syncro: AsyncClient) -> None:
    async with syncro.bulk.map(double, range(50)) as outcomes:

        async def read() -> list[int]:
            return [outcome.item async for outcome in outcomes]

        mine, others = await asyncio.gather(read(), read())
    assert sorted(mine + others) == list(range(50))


async def test_progress_counts_items_and_this_jobs_requests(syncro: AsyncClient) -> None:
    told: list[Progress] = []
    await syncro.leads.get(1)
    async with syncro.bulk.map(syncro.leads.get, [1, 2, 3], on_progress=told.append) as outcomes:
        async for _ in outcomes:
            pass
    assert [(fact.job, fact.done, fact.total) for fact in told] == [
        ("map", 1, 3),
        ("map", 2, 3),
        ("map", 3, 3),
    ]
    assert told[-1].requests == 3
    assert told[-1].seconds_left == 0.0


async def test_an_unknown_length_has_no_time_left_and_a_failing_listener_harms_nobody(
    syncro: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Progress] = []

    def listen(fact: Progress) -> None:
        told.append(fact)
        raise RuntimeError("not listening")

    async with syncro.bulk.map(double, iter([1, 2]), on_progress=listen) as outcomes:
        assert len([outcome async for outcome in outcomes]) == 2
    assert [(fact.total, fact.seconds_left) for fact in told] == [(None, None)] * 2
    assert "the progress of the map could not be reported" in caplog.text


async def test_the_functions_calls_stand_in_the_bulk_lane_unless_a_lane_was_chosen() -> None:
    clock = FakeClock()
    sandbox = Sandbox(5, clock=clock)
    waiting = []
    async with sandbox_client(sandbox=sandbox, clock=clock, max_wait=0.5) as syncro:
        chosen = syncro.with_options(lane="interactive")
        for _ in range(60):
            await syncro.leads.get(1)

        async def measure(call: Any, bulk: Any) -> None:
            async with bulk.map(call, [1] * 3, concurrency=3) as outcomes:
                await until(lambda: syncro.budget().waiting == 3)
                budget = syncro.budget()
                waiting.append((budget.waiting, budget.waiting_bulk))
                assert [type(outcome) async for outcome in outcomes] == [Succeeded] * 3
            await clock.sleep(60.25)
            for _ in range(60):
                await syncro.leads.get(1)

        await measure(syncro.leads.get, syncro.bulk)
        await measure(chosen.leads.get, syncro.bulk)
        await measure(syncro.leads.get, chosen.bulk)
    assert waiting == [(3, 3), (3, 0), (3, 0)]
    assert sandbox.refused == 0


async def test_another_clients_calls_keep_their_own_options(syncro: AsyncClient) -> None:
    async with sandbox_client(leads=3, clock=FakeClock()) as other:
        told: list[Progress] = []
        async with syncro.bulk.map(other.leads.get, [1], on_progress=told.append) as outcomes:
            assert [type(outcome) async for outcome in outcomes] == [Succeeded]
        assert told[-1].requests == 0
