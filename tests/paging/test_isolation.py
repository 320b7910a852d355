"""A record that cannot be read does not cost the others, and is reported with its bytes."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from syncro_async import AsyncClient, Lead
from syncro_async.dialects.pagination import Cursor
from syncro_async.errors import UnexpectedResponseError
from syncro_async.models.relations import LeadTask, Owner
from syncro_async.transport.json_pieces import elements, is_list, members
from tests.paging.raw_lists import META, RawList, body_of, client_of_list

DEEP = b'{"id":2,"custom_fields":{"a":' + b"[" * 150 + b"]" * 150 + b"}}"
BROKEN: dict[str, bytes] = {
    "half a character, escaped": b'{"id":2,"name":"Bia \\ud83d"}',
    "the other half": b'{"id":2,"name":"Bia \\ude00"}',
    "broken UTF-8": b'{"id":2,"name":"Jos\xe9"}',
    "half a character in UTF-8": b'{"id":2,"name":"Bia \xed\xa0\xbd"}',
    "a broken name of a field": b'{"id":2,"na\xff":1,"name":"Bia \xff"}',
    "an escape that is none": b'{"id":2,"name":"C:\\qx"}',
    "a control character": b'{"id":2,"name":"a\x01b"}',
    "NaN": b'{"id":2,"value":NaN}',
    "a hexadecimal number": b'{"id":2,"value":0x1f}',
    "a number out of all range": b'{"id":2,"custom_fields":{"a":1e400}}',
    "an object for a text": b'{"id":2,"name":{"pt":"Bia"}}',
    "a list for an object": b'{"id":2,"owner":[1]}',
    "a word for a date": b'{"id":2,"birthday":"soon"}',
    "no id": b'{"name":"Bia"}',
    "an empty id": b'{"id":"","name":"Bia"}',
    "a text": b'"Bia"',
    "null": b"null",
    "a number": b"7",
    "nothing at all": b"",
    "nested too deep": DEEP,
}
READABLE = [b'{"id":1}', b'{"id":3,"name":"C\xc3\xa9lia [{,\\""}']
CURSOR = Cursor(query="cursor", field="meta.next", items="data.items")


def around(bad: bytes) -> bytes:
    return body_of([READABLE[0], bad, READABLE[1]], last_page=len(BROKEN))


def broken_page(number: int) -> bytes:
    return body_of(
        [b'{"id":%d}' % (10 * number), list(BROKEN.values())[number - 1], b'{"id":%d}' % number],
        total=3 * len(BROKEN),
        per_page=3,
        current_page=number,
        last_page=len(BROKEN),
        has_more=number < len(BROKEN),
    )


class TestARecord:
    async def test_of_a_page_costs_no_other(self, caplog: pytest.LogCaptureFixture) -> None:
        async with client_of_list(broken_page) as client:
            pages = [page async for page in client.leads.list(page_size=3).pages()]
        assert len(pages) == len(BROKEN)
        for number, (page, bad) in enumerate(zip(pages, BROKEN.values(), strict=True), 1):
            assert [lead.id for lead in page.items] == [10 * number, number]
            assert [(item.index, item.raw) for item in page.unreadable] == [(1, bad)]
            assert page.unreadable[0].reason
        assert len(caplog.messages) == len(BROKEN)
        assert all(
            line.isprintable() and "item 1 of the page is unreadable" in line
            for line in caplog.messages
        )

    async def test_of_a_list_with_cursors_costs_no_other(self) -> None:
        for bad in BROKEN.values():
            items = b",".join([READABLE[0], bad, READABLE[1]])
            body = b'{"data":{"items":[%s],"x":"\\ud83d"},"meta":{"next":null}}' % items
            async with client_of_list(lambda _, body=body: body) as client:  # type: ignore[misc]
                leads = client.paginate("/leads", item=Lead, paging=CURSOR)
                (page,) = [page async for page in leads.pages()]
            assert [lead.id for lead in page.items] == [1, 3]
            assert [item.raw for item in page.unreadable] == [bad]

    async def test_of_plain_objects_costs_no_other(self) -> None:
        for bad in (BROKEN["broken UTF-8"], BROKEN["NaN"], DEEP):
            async with client_of_list(lambda _, bad=bad: body_of([b"1", bad])) as client:  # type: ignore[misc]
                (page,) = [page async for page in client.paginate("/things").pages()]
            assert (page.items, [item.raw for item in page.unreadable]) == ([1], [bad])

    @pytest.mark.parametrize("of", ["users", "fields", "templates", "webhooks", "pipelines"])
    async def test_of_a_list_without_pages_costs_no_other(self, of: str) -> None:
        bad = BROKEN["broken UTF-8"]
        good = b'{"id":1,"name":"Ana"}'
        items = b"[%s,%s]" % (good, bad if of != "webhooks" else b'{"id":2,"source":"\xff"}')
        body = b'{"data":%s,"supported_events":["a",5,"b"]}' % items
        if of == "pipelines":
            body = b'{"pipelines":[{"id":1,"name":"V","stages":%s},%s]}' % (items, bad)
        async with client_of_list(lambda _: body) as client:
            assert await ids_of(client, of) == [1]

    async def test_outside_of_the_records_nothing_is_looked_at(self) -> None:
        body = b'{"note":"\\ud83d","data":[{"id":1}],"links":[NaN],"meta":%s,"z":"\xff"}'
        async with client_of_list(lambda _: body % msgspec.json.encode(META)) as client:
            assert [lead.id for lead in await client.leads.list().collect()] == [1]

    @pytest.mark.parametrize(
        "body",
        [
            b'{"data":[{"id":1}, {"id":2',
            b'{"data":[{"id":1}],"meta":{}} x',
            b'{"data":[{"id":1,"name":"\xff"}],"meta":{"total":"x"}}',
            b'{"data":[{"id":1,"name":"\xff"}]}',
            b'{"data":[{"id":1,"name":"\xff"}],5}',
            b'{"data":{"a":{"id":1,"name":"\xff"}},"meta":{}}',
            b'{"data":{"1":{"id":1},"a":{"id":2}},"meta":{}}',
            b'{"data":' + b"[" * 2_000 + b"]" * 2_000 + b',"meta":{}}',
            b"[]",
            b"\xff",
        ],
    )
    async def test_what_is_no_page_is_a_typed_error(self, body: bytes) -> None:
        async with client_of_list(lambda _: body) as client:
            with pytest.raises(UnexpectedResponseError):
                await client.leads.list().collect()
            if b'"}]' not in body:  # lists without pages have no `meta`
                with pytest.raises(UnexpectedResponseError):
                    await client.users.list()


async def ids_of(client: AsyncClient, of: str) -> list[int]:
    """The ids in a list without pages."""
    match of:
        case "users":
            return [user.id for user in await client.users.list()]
        case "fields":
            return [field.id for field in await client.custom_fields.list()]
        case "templates":
            return [template.id for template in await client.whatsapp.templates()]
        case "webhooks":
            webhooks = await client.webhooks.list()
            assert webhooks.supported_events == ["a", "b"]
            return [webhook.id for webhook in webhooks.webhooks]
        case _:
            (pipeline,) = (await client.pipelines.list()).pipelines
            return [stage.id for stage in pipeline.stages]


class TestBulk:
    async def test_an_export_writes_the_others_and_sets_the_bytes_aside(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "leads.jsonl"
        bad = [BROKEN["half a character, escaped"], b'{"id":4,"name":"Jos\xe9"}']
        page = body_of([READABLE[0], *bad, READABLE[1]])
        async with client_of_list(lambda _: page) as client:
            receipt = await client.bulk.export_leads(file)
        assert (receipt.written, receipt.unreadable, receipt.complete) == (2, 2, False)
        assert [msgspec.json.decode(line)["id"] for line in file.read_bytes().splitlines()] == [
            1,
            3,
        ]
        aside = tmp_path / "leads.jsonl.unreadable.jsonl"
        assert receipt.unreadable_file == str(aside)
        assert aside.read_bytes().splitlines() == bad

    async def test_a_sync_merges_the_others(self, tmp_path: Path) -> None:
        page = body_of([READABLE[0], BROKEN["broken UTF-8"], READABLE[1]])
        async with client_of_list(lambda _: page) as client:
            receipt = await client.bulk.sync_leads(tmp_path / "leads.db")
        assert (receipt.inserted, receipt.unreadable, receipt.complete) == (2, 1, False)
        with sqlite3.connect(tmp_path / "leads.db") as database:
            assert database.execute("SELECT id FROM leads ORDER BY id").fetchall() == [(1,), (3,)]
        database.close()


PHP = (
    b'{"id":1,"birthday":"0000-00-00","created_at":"-0001-11-30T00:00:00.000000Z","value":"",'
    b'"tags":{"0":"a","2":"b"},"owner":[],"stage":"","products":null,"score":"","notes":"",'
    b'"contacts":{},"custom_fields":[],"contact_totals":[],"assigned_to":" ",'
    b'"tasks":{"3":{"id":4,"due_date":"0000-00-00","completed_at":"0000-00-00 00:00:00"}},'
    b'"siblings":{"1":{"id":2,"birthday":"0000-00-00","owner":{"id":"5","name":"","x":""}}}}'
)
MEANT = Lead(
    id=1,
    tags=["a", "b"],
    owner=None,
    products=[],
    score=None,
    notes="",
    contacts=[],
    custom_fields={},
    contact_totals={},
    tasks=[LeadTask(id=4)],
    siblings=[Lead(id=2, owner=Owner(id=5, name=""))],
)


class TestShapesOfPHP:
    async def test_are_accepted_wherever_a_lead_comes(self) -> None:
        async with client_of_list(lambda _: body_of([PHP])) as client:
            assert await client.leads.list().collect() == [MEANT]
        answer = b'{"success":true,"created":true,"lead":%s}' % PHP
        async with client_of_list(lambda _: answer) as client:
            assert await client.leads.get(1) == MEANT
            assert (await client.leads.upsert(email="a@b.c")).lead == MEANT
            created = await client.leads.create(name="A", pipeline_id=1, stage_id=1)
            assert created == MEANT

    async def test_a_list_with_gaps_is_the_list(self) -> None:
        for data in (b'{"1":{"id":1}, "3" : {"id":3,"name":"\xff"},"7":{"id":7}}', b"{}"):
            body = b'{"data":%s,"meta":%s}' % (data, msgspec.json.encode(META))
            async with client_of_list(lambda _, body=body: body) as client:  # type: ignore[misc]
                ids = [lead.id for lead in await client.leads.list().collect()]
                assert ids == ([1, 7] if b"1" in data else [])
                assert [user.id for user in await client.users.list()] == ids
        tags = b'{"tags":{"0":"a","5":"b"}}'
        async with client_of_list(lambda _: tags) as client:
            assert await client.leads.add_tags(1, ["b"]) == ["a", "b"]

    async def test_real_dates_stay_and_words_are_unreadable(self) -> None:
        good = b'{"id":1,"birthday":"1990-11-30","created_at":"2026-06-30T10:00:00Z","value":""}'
        bad = b'{"id":2,"tags":{"a":"b"},"value":""}'
        async with client_of_list(lambda _: body_of([good, bad])) as client:
            (page,) = [page async for page in client.leads.list().pages()]
        (lead,) = page.items
        assert (lead.birthday, lead.value) == (date(1990, 11, 30), None)
        assert lead.created_at == datetime(2026, 6, 30, 10, tzinfo=UTC)
        assert "$.tags" in page.unreadable[0].reason

    async def test_a_type_of_the_caller_is_taken_as_it_is(self) -> None:
        class Mine(msgspec.Struct):
            day: date | None = None

        async with client_of_list(lambda _: b'{"day":"0000-00-00"}') as client:
            with pytest.raises(UnexpectedResponseError, match=r"at `\$\.day`"):
                await client.request("GET", "/x", type=Mine)

    async def test_an_import_whose_answers_have_unset_dates_sends_each_row_once(self) -> None:
        answer = b'{"success":true,"lead":{"id":1,"birthday":"0000-00-00","value":""}}'
        meta = b'{"total":0,"per_page":200,"current_page":1,"last_page":1}'
        nobody = b'{"success":true,"data":[],"meta":%s}' % meta
        served = RawList(lambda _: nobody, posted=answer)
        async with client_of_list(served) as client:
            summary = await client.bulk.create_leads(
                [{"name": "Ana", "email": "ana@exemplo.com"}],
                defaults={"pipeline_id": 1, "stage_id": 4},
                definitions=[],
            )
        assert (summary.created, served.posts) == (1, 1)


class TestPieces:
    def test_of_a_name_that_comes_twice_the_last_one_counts(self) -> None:
        raw = b' {"a" : 1 , "\\u0061": [2, "}"], "\\ud83d": {} } '
        assert members(raw) == {"a": b'[2, "}"]', '"\\ud83d"': b"{}"}

    @pytest.mark.parametrize(
        ("raw", "parts"),
        [
            (b"[]", []),
            (b' [ 1, [2,3] ,{"a":[4]}, "x,]" ] ', [b"1", b"[2,3]", b'{"a":[4]}', b'"x,]"']),
            (b"[1,]", [b"1"]),
            (b"[1,,2]", [b"1", b"", b"2"]),
            (b'{"0":1,"9":2}', [b"1", b"2"]),
            (b"{}", []),
        ],
    )
    def test_of_a_list(self, raw: bytes, parts: list[bytes]) -> None:
        assert is_list(raw)
        assert list(elements(raw)) == parts

    @pytest.mark.parametrize("raw", [b"1", b"", b'"[]"', b'{"a":1}', b"null"])
    def test_of_no_list(self, raw: bytes) -> None:
        assert not is_list(raw)
