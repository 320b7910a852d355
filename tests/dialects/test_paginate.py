"""Any list of a service comes as a stream: by page numbers, or by a cursor named by the caller."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from syncro_async import AsyncClient, Lead, Paginator
from syncro_async.dialects import ROUTEMCP, WOLFEO, Cursor, PageNumbers
from syncro_async.errors import (
    APIError,
    ConfigurationError,
    InvalidArgumentError,
    UnexpectedResponseError,
    ValidationError,
)
from syncro_async.events import Event, ItemUnreadable
from syncro_async.sandbox import Sandbox
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock
from tests.dialects.services import CURSOR, NEXT, RouteMCP, Wolfeo
from tests.transport.scripted_app import Answer, App, Step, at_once, client_of, page_of

PAGING = Cursor(query=CURSOR, field=NEXT, size="limit")
HUBSPOT = ROUTEMCP.with_options(provider="hubspot")


class Contact(msgspec.Struct, frozen=True):
    id: int
    email: str
    gdpr: bool = msgspec.field(name="GDPR")


class Named(msgspec.Struct, frozen=True):
    id: str


def offline(**options: Any) -> AsyncClient:
    return AsyncClient("key", clock=FakeClock(), **options)


class TestByNumber:
    async def test_syncro_s_lists_come_as_those_of_its_resources_do(self) -> None:
        clock = FakeClock()
        async with sandbox_client(sandbox=Sandbox(250, clock=clock), clock=clock) as syncro:
            leads = await syncro.paginate("/leads", item=Lead, page_size=200).collect()
            assert leads == await syncro.leads.list().collect()
            plain = await syncro.paginate("/leads", params={"q": leads[0].name}).first()
        assert len(leads) == 250
        assert plain is not None
        assert plain["name"] == leads[0].name

    async def test_wolfeo_s_end_where_last_page_says_for_it_has_no_has_more(self) -> None:
        app = App(Wolfeo(contacts=250))
        async with client_of(app, dialect=WOLFEO) as client:
            contacts = client.paginate("/contacts", params={"period": "all"}, item=Contact)
            assert isinstance(contacts, Paginator)
            found = await contacts.collect()
        assert [contact.id for contact in found] == list(range(1, 251))
        assert [asked.query for asked in app.asked] == [
            {"period": "all", "page": str(number), "per_page": "100"} for number in (1, 2, 3)
        ]

    async def test_all_a_paginator_can_do_it_can(self) -> None:
        app = App(Wolfeo(contacts=25))
        async with client_of(app, dialect=WOLFEO) as client:
            contacts = client.paginate("/contacts", item=Contact, page_size=10)
            assert await contacts.count() == 25
            first = await contacts.first()
            assert first is not None
            assert first.email == "c1@example.com"
            assert [len(page.items) async for page in contacts.pages()] == [10, 10, 5]
            async with contacts.prefetch(pages=2) as items:
                assert [item.id async for item in items] == list(range(1, 26))

    async def test_a_page_number_in_params_is_where_it_begins(self) -> None:
        app = App(Wolfeo(contacts=250))
        async with client_of(app, dialect=WOLFEO) as client:
            late = client.paginate("/contacts", params={"page": 3}, max_items=20)
            assert [contact["id"] for contact in await late.collect()] == list(range(201, 221))
        assert [asked.query["page"] for asked in app.asked] == ["3"]

    async def test_names_of_the_parameters_are_the_service_s(self) -> None:
        app = App(Answer(body=page_of([1], last=2)), Answer(body=page_of([2], number=2, last=2)))
        paging = PageNumbers(number="p", size="n", largest=7)
        async with client_of(app, dialect=replace(WOLFEO, paging=paging)) as client:
            assert await client.paginate("/things").collect() == [1, 2]
        assert [asked.query for asked in app.asked] == [{"p": "1", "n": "7"}, {"p": "2", "n": "7"}]

    async def test_errors_and_retries_are_those_of_any_call(self) -> None:
        app = App(
            Answer(500), Answer(body=page_of([1], last=2)), Wolfeo.no(422, "VALIDATION_ERROR", "No")
        )
        async with client_of(app, dialect=WOLFEO, retry=at_once()) as client:
            contacts = aiter(client.paginate("/contacts"))
            assert await anext(contacts) == 1
            with pytest.raises(ValidationError, match=r"GET /contacts → 422 VALIDATION_ERROR: No"):
                await anext(contacts)
        assert len(app.asked) == 3

    async def test_one_item_that_cannot_be_read_does_not_cost_the_others(self) -> None:
        odd = {"id": "none", "email": 5}
        good = {"id": 1, "email": "a@example.com", "GDPR": True}
        seen: list[Event] = []
        app = App(Answer(body=page_of([good, odd, good])))
        async with client_of(app, dialect=WOLFEO, observers=[seen.append]) as client:
            found = await client.paginate("/contacts", item=Contact).collect()
        assert found == [Contact(1, "a@example.com", gdpr=True)] * 2
        (told,) = [event for event in seen if isinstance(event, ItemUnreadable)]
        assert (told.path, told.index) == ("/contacts", 1)


class TestByCursor:
    async def test_each_page_is_asked_for_with_what_the_one_before_said(self) -> None:
        app = App(RouteMCP(contacts=25))
        async with client_of(app, dialect=HUBSPOT) as client:
            contacts = client.paginate("/contacts", item=Named, page_size=10, paging=PAGING)
            assert isinstance(contacts, Paginator)
            for _ in range(2):  # each iteration begins anew
                found = await contacts.collect()
                assert [contact.id for contact in found] == [f"c{n}" for n in range(1, 26)]
        asked = [(each.query.get(CURSOR), each.query["limit"]) for each in app.asked]
        assert asked == [(None, "10"), ("10", "10"), ("20", "10")] * 2

    async def test_the_names_may_stand_in_the_dialect(self) -> None:
        dialect = HUBSPOT.with_options(paging=PAGING)
        async with client_of(App(RouteMCP(contacts=25)), dialect=dialect) as client:
            assert len(await client.paginate("/contacts").collect()) == 25

    async def test_without_names_it_says_which_are_needed(self) -> None:
        with pytest.raises(ConfigurationError, match=r"RouteMCP does not .*paging=Cursor\(query="):
            offline(dialect=ROUTEMCP).paginate("/contacts")

    async def test_pages_say_where_to_go_on_later(self) -> None:
        app = App(RouteMCP(contacts=25))
        async with client_of(app, dialect=HUBSPOT) as client:
            contacts = client.paginate("/contacts", page_size=10, paging=PAGING)
            pages = [page async for page in contacts.pages()]
            assert [page.next_cursor for page in pages] == ["10", "20", None]
            told = [(page.meta.current_page, page.meta.total, page.meta.has_more) for page in pages]
            assert told == [(1, 10, True), (2, 20, True), (3, 25, False)]
            params = {CURSOR: pages[0].next_cursor}
            rest = client.paginate("/contacts", params=params, page_size=10, paging=PAGING)
            assert [contact["id"] for contact in await rest.collect()][:1] == ["c11"]
        assert [asked.query.get(CURSOR) for asked in app.asked[3:]] == ["10", "20"]

    async def test_the_first_item_is_one_small_request(self) -> None:
        app = App(RouteMCP(contacts=25))
        async with client_of(app, dialect=HUBSPOT) as client:
            contacts = client.paginate("/contacts", item=Named, paging=PAGING)
            assert await contacts.first() == Named("c1")
        assert [asked.query["limit"] for asked in app.asked] == ["1"]

    async def test_there_is_no_count(self) -> None:
        contacts = offline(dialect=ROUTEMCP).paginate("/contacts", paging=PAGING)
        with pytest.raises(ConfigurationError, match="has no count"):
            await contacts.count()

    @pytest.mark.parametrize("max_items", [None, 0, 10, 13])
    async def test_prefetching_is_one_page_ahead_andin_order(self, max_items: int | None) -> None:
        app = App(RouteMCP(contacts=45))
        async with client_of(app, dialect=HUBSPOT) as client:
            contacts = client.paginate(
                "/contacts", item=Named, page_size=10, paging=PAGING, max_items=max_items
            )
            for _ in range(2):
                async with contacts.prefetch(pages=4) as items:
                    found = [contact.id async for contact in items]
                assert found == [f"c{n}" for n in range(1, 46)][:max_items]
        assert app.most_under_way <= 1

    async def test_a_prefetched_page_is_there_when_it_is_wanted(self) -> None:
        app = App(RouteMCP(contacts=20))
        async with client_of(app, dialect=HUBSPOT) as client:
            contacts = client.paginate("/contacts", page_size=10, paging=PAGING)
            async with contacts.prefetch() as items:
                await anext(items)
                await app.clock.sleep(10.0)
                asked_at = app.clock.monotonic()
                assert len([item async for item in items]) == 19
                assert app.clock.monotonic() == asked_at

    async def test_two_walks_at_once_do_not_disturb_each_other(self) -> None:
        async with client_of(App(RouteMCP(contacts=45)), dialect=HUBSPOT) as client:
            contacts = client.paginate("/contacts", item=Named, page_size=10, paging=PAGING)
            first, second = await asyncio.gather(contacts.collect(), contacts.collect())
        assert first == second
        assert len(first) == 45


def said(items: list[Any], **more: Any) -> Answer:
    return Answer(body={"success": True, "statusCode": 200, "message": "OK", "data": items, **more})


async def read(*steps: Step, paging: Cursor | None = None, **options: Any) -> tuple[list[Any], App]:
    app = App(*steps)
    async with client_of(app, dialect=ROUTEMCP) as client:
        paging = paging or Cursor(query="cursor", field="next")
        found = await client.paginate("/things", paging=paging, **options).collect()
    return found, app


class TestWhatACursorMayLookLike:
    @pytest.mark.parametrize("end", [{}, {"next": None}, {"next": ""}])
    async def test_none_is_the_end(self, end: dict[str, Any]) -> None:
        found, app = await read(said([1], next="a b&c"), said([2], next=7), said([3], **end))
        assert found == [1, 2, 3]
        assert [asked.query for asked in app.asked] == [{}, {"cursor": "a b&c"}, {"cursor": "7"}]

    @pytest.mark.parametrize("end", [{}, {"meta": None}, {"meta": {}}, {"meta": {"next": None}}])
    async def test_it_may_lie_deeper_and_so_may_the_items(self, end: dict[str, Any]) -> None:
        paging = Cursor(query="cursor", field="data.meta.next", items="data.list")
        first = Answer(body={"data": {"list": [1], "meta": {"next": "x"}}})
        last = Answer(body={"data": {"list": [2], **end}})
        found, app = await read(first, last, paging=paging)
        assert found == [1, 2]
        assert len(app.asked) == 2

    async def test_an_empty_page_with_a_cursor_is_not_the_end(self) -> None:
        steps = (said([], next="a"), said([], next="b"), said([5]))
        assert (await read(*steps))[0] == [5]
        async with client_of(App(steps[0], *steps), dialect=ROUTEMCP) as client:
            paging = Cursor(query="cursor", field="next")
            assert await client.paginate("/things", paging=paging).first() == 5

    async def test_the_first_item_of_a_list_without_any_is_none(self) -> None:
        async with client_of(App(said([])), dialect=ROUTEMCP) as client:
            paging = Cursor(query="cursor", field="next")
            assert await client.paginate("/things", paging=paging).first() is None

    @pytest.mark.parametrize("back", ["a", "b"])
    async def test_one_that_leads_back_ends_the_list_and_is_logged(
        self, back: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        steps = (said([1], next="a"), said([2], next="b"), said([3], next=back))
        found, app = await read(*steps)
        assert found == [1, 2, 3]
        assert len(app.asked) == 3
        assert "page 3 points back to an earlier one" in caplog.text

    async def test_one_that_leads_back_to_the_start_does_too(self) -> None:
        found, _ = await read(said([1], next="a"), params={"cursor": "a"})
        assert found == [1]

    async def test_a_first_page_without_such_a_field_is_told_as_it_may_be_a_wrong_name(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert (await read(said([1], nextCursor="a")))[0] == [1]
        assert "the first page has no field for a cursor" in caplog.text
        caplog.clear()
        assert (await read(said([])))[0] == []
        assert (await read(said([1], next=None)))[0] == [1]
        assert caplog.text == ""

    @pytest.mark.parametrize(
        ("odd", "why"),
        [
            (said([1], next=True), "got `bool`"),
            (said([1], next=["a"]), "got `array`"),
            (Answer(body={"items": [1]}), "there is no list under `data`"),
            (Answer(body={"data": {"a": 1}}), "Expected `array`, got `object`"),
            (Answer(body=[1, 2]), "Expected `object`, got `array`"),
            (Answer(body=b"<html>"), "the answer is not JSON"),
        ],
    )
    async def test_what_is_no_page_is_an_unexpected_response(self, odd: Answer, why: str) -> None:
        with pytest.raises(UnexpectedResponseError, match=why):
            await read(odd)

    async def test_a_page_that_was_not_successful_is_an_error(self) -> None:
        with pytest.raises(APIError, match="GET /things → 200 X: no"):
            await read(Answer(body={"success": False, "code": "X", "message": "no"}))

    async def test_one_item_that_cannot_be_read_does_not_cost_the_others(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        steps = (said([{"id": 5}, {"id": "a"}], next="n"), said([{"id": "b"}]))
        found, _ = await read(*steps, item=Named)
        assert found == [Named("a"), Named("b")]
        assert "/things: item 0 of the page is unreadable" in caplog.text


class TestWhatCannotBe:
    @pytest.mark.parametrize(
        ("options", "why"),
        [
            ({"page_size": 0}, "page_size must be 1 to 100, not 0"),
            ({"page_size": 101}, "page_size must be 1 to 100, not 101"),
            ({"page_size": True}, "page_size must be 1 to 100, not True"),
            ({"page_size": 0, "paging": PAGING}, "page_size must be 1 or more, not 0"),
            ({"page_size": 9, "paging": replace(PAGING, largest=8)}, "must be 1 to 8, not 9"),
            ({"page_size": 9, "paging": replace(PAGING, size=None)}, r"Cursor\(size=…\)"),
            ({"max_items": -1}, "max_items must be 0 or more, not -1"),
            ({"params": {"page": 0}}, "page must be 1 or more, not 0"),
            ({"params": {"page": "2"}}, "page must be 1 or more, not '2'"),
            ({"params": {"per_page": 5}}, "per_page is given as page_size, not in params"),
            ({"params": {"limit": 5}, "paging": PAGING}, "limit is given as page_size"),
            ({"params": {CURSOR: ""}, "paging": PAGING}, "after must be a cursor, a str, not ''"),
            ({"params": {CURSOR: 5}, "paging": PAGING}, "after must be a cursor, a str, not 5"),
            ({"params": {"x": object()}}, "x cannot be sent as a query parameter"),
        ],
    )
    def test_is_refused_before_anything_is_sent(self, options: dict[str, Any], why: str) -> None:
        with pytest.raises(ValueError, match=why):
            offline(dialect=WOLFEO).paginate("/contacts", **options)

    @pytest.mark.parametrize("path", ["https://elsewhere.example/x", "/a/../b", "/a?b=c"])
    def test_a_path_does_not_leave_the_base_url(self, path: str) -> None:
        with pytest.raises(ValueError, match="path="):
            offline(dialect=WOLFEO).paginate(path)

    @pytest.mark.parametrize(
        "names",
        [
            {"query": "", "field": "a"},
            {"query": "a", "field": "a..b"},
            {"query": "a", "field": 5},
            {"query": "a", "field": "b", "items": ""},
            {"query": "a", "field": "b", "size": ""},
            {"query": "a", "field": "b", "largest": 0},
            {"query": "a", "field": "b", "largest": 1.5},
        ],
    )
    def test_a_cursor_needs_names(self, names: Any) -> None:
        with pytest.raises(ConfigurationError, match="Cursor: "):
            Cursor(**names)


@pytest.mark.parametrize("odd", ["cursor", 5, Cursor, []])
async def test_what_is_no_paging_is_refused(odd: Any) -> None:
    async with client_of(App(), dialect=WOLFEO) as client:
        with pytest.raises(InvalidArgumentError, match="paging must be a PageNumbers or a Cursor"):
            client.paginate("/contacts", paging=odd)
