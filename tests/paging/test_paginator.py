"""Lists that come in pages, from servers that tell the truth and from others."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc

import msgspec
import pytest

from syncro_async import Lead, Page, UnreadableItem
from syncro_async.errors import ServerError, UnexpectedResponseError
from syncro_async.events import Event, ItemUnreadable
from tests.paging.fake_lists import keep, list_app, page, pages_by
from tests.transport.scripted_app import Answer, App, at_once, client_of, page_of

BAD = {"id": {"not": "a number"}}


class TestReading:
    async def test_every_item_comes_once_andin_order(self) -> None:
        app = list_app(450)
        async with client_of(app) as client:
            ids = [lead.id async for lead in client.leads.list()]
        assert ids == list(range(1, 451))
        assert [(asked.query["page"], asked.query["per_page"]) for asked in app.asked] == [
            ("1", "200"),
            ("2", "200"),
            ("3", "200"),
        ]

    async def test_nothing_is_sent_before_the_first_item_is_asked_for(self) -> None:
        app = list_app(3)
        async with client_of(app) as client:
            leads = client.leads.list()
            items = aiter(leads)
            assert app.asked == []
            assert (await anext(items)).id == 1
            assert len(app.asked) == 1

    async def test_one_that_is_shown_says_how_it_is_fetched(self) -> None:
        async with client_of(list_app(3)) as client:
            assert repr(client.leads.list()).startswith("<Paginator of Lead: fetch it with `async")
            assert "await its collect()" in repr(client.paginate("/leads"))
            assert repr(client.paginate("/leads")).startswith("<Paginator: fetch")

    async def test_each_iteration_starts_anew(self) -> None:
        app = list_app(3)
        async with client_of(app) as client:
            leads = client.leads.list()
            assert await leads.collect() == await leads.collect()
        assert len(app.asked) == 2

    async def test_filters_go_with_every_page(self) -> None:
        app = list_app(5)
        async with client_of(app) as client:
            await client.leads.list(q="ana", tags=["a"], page_size=2).collect()
        assert [(asked.query["q"], asked.query["tags[]"]) for asked in app.asked] == [
            ("ana", "a")
        ] * 3

    async def test_pages_come_with_what_the_server_says_of_the_list(self) -> None:
        async with client_of(list_app(5)) as client:
            pages = [each async for each in client.leads.list(page_size=2).pages()]
        assert [len(each.items) for each in pages] == [2, 2, 1]
        assert [each.meta.current_page for each in pages] == [1, 2, 3]
        assert pages[0].meta.total == 5

    @pytest.mark.parametrize(
        ("start_page", "max_items", "ids", "requests"),
        [
            (1, 5, [1, 2, 3, 4, 5], 3),
            (1, 4, [1, 2, 3, 4], 2),
            (1, 0, [], 0),
            (1, 99, list(range(1, 10)), 5),
            (3, None, [5, 6, 7, 8, 9], 3),
            (4, 1, [7], 1),
            (9, None, [], 1),
        ],
    )
    async def test_it_can_begin_later_and_end_early(
        self, start_page: int, max_items: int | None, ids: list[int], requests: int
    ) -> None:
        app = list_app(9)
        async with client_of(app) as client:
            leads = client.leads.list(page_size=2, start_page=start_page, max_items=max_items)
            assert [lead.id for lead in await leads.collect()] == ids
            assert len(app.asked) == requests
            async with leads.prefetch() as ahead:
                assert [lead.id async for lead in ahead] == ids

    async def test_leaving_early_asks_for_no_more(self) -> None:
        app = list_app(1000)
        async with client_of(app) as client:
            async for lead in client.leads.list(page_size=10):
                if lead.id == 15:
                    break
        assert len(app.asked) == 2

    async def test_an_error_keeps_its_type_and_what_was_read_stays_usable(self) -> None:
        first = Answer(200, page_of([{"id": 1}, {"id": 2}], last=2))
        app = App(first, Answer(500, {"message": "não"}))
        seen: list[Lead] = []
        async with client_of(app, retry=at_once(1)) as client:
            with pytest.raises(ServerError, match="não"):
                await keep(client.leads.list(), seen)
        assert [lead.id for lead in seen] == [1, 2]

    async def test_memory_does_not_grow_with_the_pages(self) -> None:
        def make(number: int) -> Page[int]:
            items = [number * 1000 + n for n in range(1000)]
            return page(items, number, 200)

        paginator, asked = pages_by(make)
        items = aiter(paginator)
        tracemalloc.start()
        try:
            for _ in range(5000):
                await anext(items)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            async for _ in items:
                pass
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(asked) == 200
        assert peak - before < 250_000  # 195 pages would be 7 MB


class TestFirstAndCount:
    async def test_they_take_one_request_for_one_item(self) -> None:
        app = list_app(450)
        async with client_of(app) as client:
            first = await client.leads.list().first()
            assert first is not None
            assert first.id == 1
            assert await client.leads.list().count() == 450
        assert [(a.query["page"], a.query["per_page"]) for a in app.asked] == [("1", "1")] * 2

    async def test_the_first_of_a_later_page_is_asked_for_in_the_list_s_own_pages(self) -> None:
        app = list_app(9)
        async with client_of(app) as client:
            first = await client.leads.list(page_size=3, start_page=2).first()
        assert first is not None
        assert first.id == 4
        assert len(app.asked) == 1

    async def test_an_empty_list_has_none(self) -> None:
        app = list_app(0)
        async with client_of(app) as client:
            assert await client.leads.list().first() is None
            assert await client.leads.list(max_items=0).first() is None
            assert await client.leads.list().collect() == []
            assert await client.leads.list().count() == 0
        assert len(app.asked) == 3

    async def test_an_unreadable_lead_does_not_make_a_list_look_empty(self) -> None:
        app = App(
            Answer(200, page_of([BAD], last=2)),
            Answer(200, page_of([BAD, {"id": 2}], last=1)),
        )
        async with client_of(app) as client:
            first = await client.leads.list().first()
        assert first is not None
        assert first.id == 2
        assert [asked.query["per_page"] for asked in app.asked] == ["1", "200"]

    async def test_a_list_of_unreadable_leads_has_no_first(self) -> None:
        async with client_of(App(Answer(200, page_of([BAD])))) as client:
            assert await client.leads.list().first() is None


class TestUnreadableItems:
    async def test_one_does_not_cost_the_others(self, caplog: pytest.LogCaptureFixture) -> None:
        leads = [{"id": n} for n in range(200)]
        leads[57] = {"id": 57, "tags": {"oops": True}}  # type: ignore[dict-item]
        seen: list[Event] = []
        app = App(Answer(200, page_of(leads)))
        async with client_of(app, observers=[seen.append]) as client:
            (only,) = [each async for each in client.leads.list().pages()]
        assert [lead.id for lead in only.items] == [n for n in range(200) if n != 57]
        (bad,) = only.unreadable
        assert bad.index == 57
        assert msgspec.json.decode(bad.raw) == leads[57]
        assert "$.tags" in bad.reason
        assert ItemUnreadable("/leads", 57, bad.reason) in seen
        (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
        assert "/leads: item 57 of the page is unreadable" in warning.getMessage()

    async def test_a_page_of_nothing_else_is_not_the_end(self) -> None:
        app = App(
            Answer(200, page_of([BAD], last=2)),
            Answer(200, page_of([{"id": 2}], number=2, last=2)),
        )
        async with client_of(app) as client:
            assert [lead.id for lead in await client.leads.list().collect()] == [2]

    async def test_one_too_deep_to_read_is_a_typed_error(self) -> None:
        deep = b'{"id": 3, "custom_fields": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
        meta = b'{"total": 2, "per_page": 2, "current_page": 1, "last_page": 1}'
        body = b'{"data": [{"id": 1}, ' + deep + b'], "meta": ' + meta + b"}"
        async with client_of(App(Answer(200, body))) as client:
            with pytest.raises(UnexpectedResponseError):
                await client.leads.list().collect()

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ({"success": True, "data": []}, "missing required field `meta`"),
            ({**page_of([]), "data": None}, r"Expected `array`, got `null`"),
            (
                page_of([]) | {"data": {"a": {"id": 1}}},
                r"Expected `array`, got `object` - at `\$\.data",
            ),
            (page_of([]) | {"meta": []}, r"at `\$\.meta`"),
            (page_of([], per_page="many"), r"\$\.meta\.per_page"),
            ([], "Expected `object`, got `array`"),
        ],
    )
    async def test_what_is_no_page_at_all_is_an_error_with_its_path(
        self, body: object, reason: str
    ) -> None:
        app = App(Answer(200, body))
        async with client_of(app) as client:
            with pytest.raises(UnexpectedResponseError, match=reason):
                await client.leads.list().collect()
        assert len(app.asked) == 1

    def test_it_says_where_it_stood(self) -> None:
        assert UnreadableItem(3, b"{}", "why").index == 3


class TestLyingServers:
    async def collect_both_ways(self, make: object) -> tuple[list[int], list[int]]:
        """What a list gives, page by page and fetched ahead; and the pages asked for, by turns."""
        paginator, asked = pages_by(make)  # type: ignore[arg-type]
        items = await paginator.collect()
        requests = list(asked)
        async with paginator.prefetch(3) as ahead:
            assert [item async for item in ahead] == items
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return items, requests

    async def test_a_page_shown_again_ends_the_list(self, caplog: pytest.LogCaptureFixture) -> None:
        items, requests = await self.collect_both_ways(
            lambda number: page([1, 2] if number == 1 else [3, 4], number, 9)
        )
        assert (items, requests) == ([1, 2, 3, 4], [1, 2, 3])
        assert "asked for page 3, the server showed page 3 again" in caplog.text

    async def test_a_server_that_knows_one_page_only_ends_the_list(self) -> None:
        items, requests = await self.collect_both_ways(lambda _: page([1, 2], 1, 9, has_more=True))
        assert (items, requests) == ([1, 2], [1, 2])

    async def test_a_last_page_that_is_too_big_costs_one_request(self) -> None:
        items, requests = await self.collect_both_ways(
            lambda number: page([number] if number < 3 else [], number, 500)
        )
        assert (items, requests) == ([1, 2], [1, 2, 3])

    async def test_a_has_more_that_never_ends_ends_with_an_empty_page(self) -> None:
        items, requests = await self.collect_both_ways(
            lambda number: page([number] if number < 4 else [], number, 1, has_more=True)
        )
        assert (items, requests) == ([1, 2, 3], [1, 2, 3, 4])

    async def test_a_has_more_that_is_wrongly_false_loses_no_page(self) -> None:
        items, requests = await self.collect_both_ways(
            lambda number: page([number], number, 3, has_more=False)
        )
        assert (items, requests) == ([1, 2, 3], [1, 2, 3])

    async def test_a_list_that_shrinks_meanwhile_ends_where_it_ends(self) -> None:
        items, requests = await self.collect_both_ways(
            lambda number: page([number], number, 5 - number, has_more=None)
        )
        assert (items, requests) == ([1, 2, 3], [1, 2, 3])
