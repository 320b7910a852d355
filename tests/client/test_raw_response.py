"""The answer behind a result: status, headers, bytes, and how the call got it."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from syncro_async import AsyncClient, Headers, Lead, NotFoundError, Page, RawResult
from syncro_async.errors import APIError, InvalidArgumentError, UnexpectedResponseError
from tests.transport.scripted_app import ONE, Answer, App, at_once, client_of, page_of

HEADERS = (("X-Request-Id", "abc"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))
LEAD = Answer(body={"success": True, "lead": {"id": 5, "name": "Ana"}}, headers=HEADERS)
LISTED = Answer(body={"success": True, "data": []})


class TestAResult:
    async def test_comes_with_the_whole_answer(self) -> None:
        async with client_of(App(LEAD)) as client:
            raw = await client.with_raw_response.leads.get(5)
            assert raw == await client.leads.with_raw_response.get(5)
        assert isinstance(raw, RawResult)
        assert raw.parsed == Lead(id=5, name="Ana")
        assert (raw.status, raw.content, raw.attempts) == (200, LEAD.content, 1)
        assert raw.headers["x-request-id"] == raw.headers["X-REQUEST-ID"] == "abc"
        assert raw.headers["set-cookie"] == "a=1, b=2"
        assert raw.headers.get_all("Set-Cookie") == ["a=1", "b=2"]

    async def test_does_not_show_the_body_of_a_person(self) -> None:
        async with client_of(App(LEAD)) as client:
            raw = await client.leads.with_raw_response.get(5)
        assert repr(raw) == f"<RawResult 200, {len(LEAD.content)} bytes, attempts=1, waited=0 s>"

    async def test_says_how_often_and_how_long(self) -> None:
        app = App(LEAD, Answer(500), Answer(429, {}, (("retry-after", "9"),)), LEAD)
        async with client_of(app, rate_limit=ONE, retry=at_once()) as client:
            await client.leads.get(5)
            raw = await client.with_raw_response.leads.get(5)
        assert raw.attempts == 3
        # A window for each attempt; the pause after the 429 runs within the second one.
        assert raw.waited == pytest.approx(app.times[-1] - app.times[0])

    async def test_of_an_error_are_the_headers_of_the_error(self) -> None:
        async with client_of(App(Answer(404, {"message": "No."}, HEADERS))) as client:
            with pytest.raises(NotFoundError) as caught:
                await client.with_raw_response.leads.get(5)
        for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
            assert error.headers["X-Request-ID"] == "abc"

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (Answer(200, {"success": False}, HEADERS), APIError),
            (Answer(200, b"<html>", HEADERS), UnexpectedResponseError),
            (Answer(302, b"", HEADERS), UnexpectedResponseError),
        ],
    )
    async def test_every_error_of_an_answer_has_its_headers(
        self, answer: Answer, kind: type[APIError | UnexpectedResponseError]
    ) -> None:
        async with client_of(App(answer)) as client:
            with pytest.raises(kind) as caught:
                await client.leads.get(5)
        assert caught.value.headers["x-request-id"] == "abc"

    async def test_an_error_without_an_answer_has_none(self) -> None:
        async with client_of(App(OSError("gone")), retry=at_once(1)) as client:
            with pytest.raises(Exception, match="gone") as caught:
                await client.leads.get(5)
        assert getattr(caught.value, "headers", None) == Headers()

    async def test_each_of_several_calls_at_once_has_its_own(self) -> None:
        app = App(*(Answer(body={"lead": {"id": n}}) for n in (1, 2, 3)))
        async with client_of(app) as client:
            get = client.leads.with_raw_response.get
            found = [await get(n) for n in (1, 2, 3)]
        assert [raw.parsed.id for raw in found] == [1, 2, 3]
        assert [str(raw.parsed.id).encode() in raw.content for raw in found] == [True] * 3


CALLS: dict[str, tuple[Callable[[Any], Any], Answer]] = {
    "leads.create": (lambda c: c.leads.create(name="A", pipeline_id=1, stage_id=1), LEAD),
    "leads.move": (lambda c: c.leads.move(1, stage_id=1, pipeline_id=1), Answer()),
    "leads.delete": (lambda c: c.leads.delete(1), Answer(204, b"")),
    "leads.add_tags": (lambda c: c.leads.add_tags(1, "a"), Answer(body={"tags": ["a"]})),
    "tasks.create": (
        lambda c: c.tasks.create(subject="A", type="call", due_date=date(2026, 7, 1)),
        Answer(201, {"task": {"id": 1}}),
    ),
    "pipelines.list": (lambda c: c.pipelines.list(), Answer(body={"pipelines": []})),
    "pipelines.find": (
        lambda c: c.pipelines.find("A"),
        Answer(body={"pipelines": [{"id": 1, "name": "A"}]}),
    ),
    "custom_fields.list": (lambda c: c.custom_fields.list(active_only=True), LISTED),
    "whatsapp.instances": (lambda c: c.whatsapp.instances(), LISTED),
    "whatsapp.templates": (lambda c: c.whatsapp.templates(language="pt_BR"), LISTED),
    "account.get": (lambda c: c.account.get(), Answer(body={"account": {"id": 1}})),
    "users.list": (lambda c: c.users.list(), LISTED),
    "webhooks.get": (lambda c: c.webhooks.get(1), Answer(body={"id": 1})),
    "request": (lambda c: c.request("GET", "/x", params={"a": 1}), Answer()),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_raw_call_returns_what_the_call_returns(name: str) -> None:
    call, answer = CALLS[name]
    async with client_of(App(answer)) as client:
        raw = await call(client.with_raw_response)
        assert raw.parsed == await call(client)
    assert (raw.status, raw.content) == (answer.status, answer.content)


class TestAList:
    async def test_comes_as_its_first_page(self) -> None:
        page = Answer(body=page_of([{"id": 1}, {"id": 2}], number=2, last=3), headers=HEADERS)
        app = App(page)
        async with client_of(app) as client:
            raw = await client.with_raw_response.leads.list(tags=["a"], start_page=2, page_size=2)
            tasks = await client.tasks.with_raw_response.list(status="pending")
            other = await client.with_raw_response.paginate("/x", params={"page": 2})
        assert isinstance(raw.parsed, Page)
        assert raw.parsed.items == [Lead(id=1), Lead(id=2)]
        assert raw.headers["x-request-id"] == "abc"
        assert len(tasks.parsed.items) == len(other.parsed.items) == 2
        assert app.asked[0].query == {"tags[]": "a", "page": "2", "per_page": "2"}
        assert len(app.asked) == 3

    async def test_of_no_items_sends_nothing_and_says_so(self) -> None:
        app = App()
        async with client_of(app) as client:
            with pytest.raises(InvalidArgumentError, match="max_items=0"):
                await client.with_raw_response.leads.list(max_items=0)
        assert app.asked == []


def test_every_call_of_every_resource_has_a_raw_one() -> None:
    client = AsyncClient("key")
    for name in (*client._settings.config.dialect.resources,):
        resource = getattr(client, name)
        calls = {
            each
            for each, _ in inspect.getmembers_static(type(resource), inspect.isfunction)
            if not each.startswith("_")
        }
        raw = resource.with_raw_response
        assert calls == set(vars(raw))
        for each in calls:
            ours, its = (inspect.signature(getattr(owner, each)) for owner in (raw, resource))
            assert ours.parameters == its.parameters
            assert getattr(raw, each).__doc__ == getattr(resource, each).__doc__


class TestHeaders:
    def test_are_a_map_whose_names_have_no_case(self) -> None:
        headers = Headers([("A", "1"), ("b", "2"), ("a", "3")])
        assert (list(headers), len(headers)) == (["a", "b"], 2)
        assert "B" in headers
        assert headers.get("c") is None
        assert headers.get_all("c") == []
        with pytest.raises(KeyError, match="C"):
            headers["C"]

    def test_are_a_value(self) -> None:
        headers = Headers([("A", "1")])
        assert headers == Headers([("a", "1")]) == copy.deepcopy(headers)
        assert pickle.loads(pickle.dumps(headers)) == headers
        assert len({headers, Headers([("a", "1")]), Headers()}) == 2
        assert headers != {"a": "1"}
        assert repr(headers) == "Headers([('a', '1')])"
