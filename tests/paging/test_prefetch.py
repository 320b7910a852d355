"""Pages that are fetched ahead: in order, not too many, and none left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from syncro_async import Page
from syncro_async.errors import ConfigurationError, ServerError
from syncro_async.paging.paginator import Paginator
from tests.paging.fake_lists import keep, list_app, page
from tests.transport.scripted_app import Answer, App, Asked, at_once, client_of, page_of


class Source:
    """Pages that arrive when they are let go; counts what is under way."""

    def __init__(
        self, last: int, *, holds_from: int | None = None, fails_at: int | None = None
    ) -> None:
        self.last = last
        self.holds_from = holds_from or last + 1
        self.fails_at = fails_at
        self.asked: list[int] = []
        self.under_way = 0
        self.most_under_way = 0
        self.ended: list[int] = []
        self.go_on = asyncio.Event()

    async def fetch(self, number: int, size: int | None = None, /) -> Page[int]:
        self.asked.append(number)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if number >= self.holds_from:
                await self.go_on.wait()
            # The later the page, the sooner it is there.
            for _ in range(self.last - number):
                await asyncio.sleep(0)
            if number == self.fails_at:
                raise ServerError("não", status=500)
            return page([10 * number, 10 * number + 1], number, self.last)
        finally:
            self.under_way -= 1
            self.ended.append(number)

    def paginator(self, max_items: int | None = None) -> Paginator[int]:
        return Paginator(self.fetch, max_items=max_items)


async def idle(turns: int = 50) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def nobody_else() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


class TestOrderAndBounds:
    @pytest.mark.parametrize("ahead", [1, 2, 4, 50])
    async def test_order_is_kept_and_no_more_than_so_many_are_under_way(self, ahead: int) -> None:
        source = Source(20)
        async with source.paginator().prefetch(ahead) as items:
            got = [item async for item in items]
        assert got == [10 * n + i for n in range(1, 21) for i in (0, 1)]
        assert source.asked == list(range(1, 21))
        assert source.most_under_way == min(ahead, 19)
        assert nobody_else()

    async def test_a_slow_reader_finds_no_more_than_so_many_pages_waiting(self) -> None:
        source = Source(100)
        async with source.paginator().prefetch(3) as items:
            assert await anext(items) == 10
            await idle()
            assert source.asked == [1, 2, 3, 4]
            assert [await anext(items) for _ in range(2)] == [11, 20]
            await idle()
            assert source.asked == [1, 2, 3, 4, 5]

    @pytest.mark.parametrize(("max_items", "pages"), [(1, 1), (2, 1), (3, 2), (7, 4), (0, 0)])
    async def test_no_page_is_fetched_that_max_items_does_not_need(
        self, max_items: int, pages: int
    ) -> None:
        source = Source(50)
        async with source.paginator(max_items).prefetch(8) as items:
            assert len([item async for item in items]) == max_items
        assert source.asked == list(range(1, pages + 1))

    async def test_pages_come_in_order_too(self) -> None:
        source = Source(5)
        async with source.paginator(max_items=9).prefetch(2) as ahead:
            pages = [each async for each in ahead.pages()]
        assert [each.items for each in pages] == [[10, 11], [20, 21], [30, 31], [40, 41], [50]]

    @pytest.mark.parametrize("pages", [0, -1])
    def test_less_than_one_page_ahead_is_no_prefetch(self, pages: int) -> None:
        with pytest.raises(ValueError, match="must be 1 or more"):
            Source(1).paginator().prefetch(pages)

    async def test_the_budget_is_kept_to(self) -> None:
        app = list_app(20_000)
        async with client_of(app) as client, client.leads.list().prefetch(8) as leads:
            assert [lead.id async for lead in leads] == list(range(1, 20_001))
        assert app.times == [0.0] * 60 + [60.25] * 40

    async def test_a_page_that_fails_once_is_fetched_again_in_its_place(self) -> None:
        async def step(asked: Asked) -> Answer:
            number = int(asked.query["page"])
            if number == 2 and sum(a.query["page"] == "2" for a in app.asked) == 1:
                return Answer(500)
            return Answer(200, page_of([{"id": number}], number=number, last=4))

        app = App(step)
        async with client_of(app) as client, client.leads.list().prefetch() as leads:
            assert [lead.id async for lead in leads] == [1, 2, 3, 4]
        assert len(app.asked) == 5


class TestLeaving:
    async def test_break_leaves_nothing_running(self) -> None:
        source = Source(50, holds_from=3)
        async with source.paginator().prefetch(5) as items:
            async for item in items:
                if item >= 20:
                    break
            await idle()
            assert source.under_way == 5
        assert source.under_way == 0
        assert nobody_else()

    @pytest.mark.parametrize("error", [KeyError("mine"), asyncio.CancelledError()])
    async def test_an_error_of_the_block_s_own_keeps_its_type(self, error: BaseException) -> None:
        async def fail_at_20() -> None:
            async with source.paginator().prefetch(5) as items:
                async for item in items:
                    if item >= 20:
                        raise error

        source = Source(50, holds_from=3)
        with pytest.raises(type(error)) as caught:
            await fail_at_20()
        assert caught.value is error
        assert source.under_way == 0
        assert nobody_else()

    async def test_never_having_begun_leaves_nothing_either(self) -> None:
        source = Source(50)
        async with source.paginator().prefetch():
            pass
        assert source.asked == []

    async def test_a_reader_that_is_cancelled_leaves_nothing_running(self) -> None:
        async def read() -> None:
            async with source.paginator().prefetch(5) as items:
                _ = [item async for item in items]

        source = Source(50, holds_from=2)
        reader = asyncio.ensure_future(read())
        await idle(200)
        assert source.under_way == 5
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert source.under_way == 0
        assert nobody_else()

    async def test_on_the_wire_the_fetches_end_and_their_slots_are_settled(self) -> None:
        async def step(asked: Asked) -> Answer:
            number = int(asked.query["page"])
            if number > 2:
                await held.wait()
            return Answer(200, page_of([{"id": number}], number=number, last=9))

        held = asyncio.Event()
        app = App(step)
        async with client_of(app) as client:
            async with client.leads.list().prefetch(4) as leads:
                async for lead in leads:
                    if lead.id == 2:
                        break
            held.set()
            await idle()
            assert client.budget().in_flight == 0

    async def test_the_items_end_with_the_block(self) -> None:
        source = Source(3)
        async with source.paginator().prefetch() as items:
            assert await anext(items) == 10
        assert await anext(items) == 11
        with pytest.raises(ConfigurationError, match="block was left"):
            await anext(items)
        assert nobody_else()

    async def test_a_reader_elsewhere_hears_that_the_block_was_left(self) -> None:
        async def read() -> list[int]:
            return [item async for item in ahead]

        source = Source(3, holds_from=1)
        async with source.paginator().prefetch() as ahead:
            reader = asyncio.ensure_future(read())
            await idle()
        with pytest.raises(ConfigurationError, match="block was left"):
            await reader


class TestFailures:
    async def test_an_error_comes_in_its_place_and_as_itself(self) -> None:
        async def read() -> None:
            async with source.paginator().prefetch(5) as items:
                await keep(items, got)

        source = Source(9, fails_at=3)
        got: list[int] = []
        with pytest.raises(ServerError) as caught:
            await read()
        assert got == [10, 11, 20, 21]
        assert type(caught.value) is ServerError
        assert nobody_else()

    async def test_what_failed_fails_again_and_does_not_look_like_the_end(self) -> None:
        source = Source(9, fails_at=2)
        async with source.paginator().prefetch(5) as items:
            with pytest.raises(ServerError):
                _ = [item async for item in items]
            with pytest.raises(ServerError):
                _ = [item async for item in items]
            with pytest.raises(ServerError):
                _ = [each async for each in items.pages()]
        assert source.asked.count(2) == 1

    async def test_errors_of_pages_nobody_reads_are_no_news(self) -> None:
        source = Source(9, fails_at=3)
        async with source.paginator().prefetch(5) as items:
            assert await anext(items) == 10
            await idle()
            assert 3 in source.ended

    async def test_other_pages_on_the_wire_are_ended_by_one_s_error(self) -> None:
        app = App(Answer(200, page_of([{"id": 1}], last=9)), Answer(500), Answer(500), Answer(500))
        async with client_of(app, retry=at_once(1)) as client:
            with pytest.raises(ServerError):
                async with client.leads.list().prefetch(3) as leads:
                    _ = [lead async for lead in leads]
            await idle()
            assert client.budget().in_flight == 0


class TestGoingOn:
    async def test_a_second_loop_goes_on_where_the_first_stopped(self) -> None:
        source = Source(4)
        got = []
        async with source.paginator().prefetch(2) as items:
            for _ in range(3):
                async for item in items:
                    got.append(item)
                    if len(got) in {3, 5}:
                        break
        assert got == [10, 11, 20, 21, 30, 31, 40, 41]
        assert source.asked == [1, 2, 3, 4]

    @pytest.mark.parametrize("wait", [anext, lambda items: anext(items.pages())])
    async def test_a_reader_that_gives_up_a_page_can_still_read_it(
        self, wait: Callable[..., object]
    ) -> None:
        source = Source(2, holds_from=1)
        async with source.paginator().prefetch() as items:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await wait(items)  # type: ignore[misc]
            source.go_on.set()
            assert [item async for item in items] == [10, 11, 20, 21]
        assert source.asked == [1, 2]


class TestSharing:
    async def test_several_tasks_share_the_items_and_none_is_lost_or_seen_twice(self) -> None:
        source = Source(20)
        seen: list[int] = []

        async with source.paginator().prefetch(pages=3) as items:

            async def work() -> None:
                async for item in items:
                    seen.append(item)
                    await asyncio.sleep(0)

            await asyncio.gather(work(), work(), work())

        assert sorted(seen) == sorted(10 * n + d for n in range(1, 21) for d in (0, 1))
