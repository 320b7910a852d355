"""What programs pass as arguments, as it arrives at the server; and what never goes out."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from http import HTTPMethod
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from syncro_async import AsyncClient, SyncroError
from syncro_async.errors import InvalidArgumentError
from tests.transport.scripted_app import Answer, App, client_of, page_of

ENROLLED = {"lead_id": 7, "sequence_id": 3, "status": "active"}
LEAD = Answer(body={"lead": {"id": 5}, "tags": [], "task": {"id": 1}, **ENROLLED})


class Tag(str, enum.Enum):  # noqa: UP042  # its str() is not its value
    VIP = "vip"


class Word(enum.Enum):
    PENDING = "pending"


class Stage(enum.IntEnum):
    NEW = 4


async def sent(call: Callable[[Any], Any], answer: Answer = LEAD) -> tuple[str, Any]:
    """Path with query, and body, of the one request that the call sends."""
    app = App(answer)
    async with client_of(app) as client:
        await call(client)
    (asked,) = app.asked
    query = "&".join(f"{name}={value}" for name, value in asked.query.items())
    body = msgspec.json.decode(asked.body) if asked.body else None
    return f"{asked.path}?{query}" if query else asked.path, body


class TestWhatArrives:
    @pytest.mark.parametrize(
        ("call", "path"),
        [
            (lambda c: c.leads.get(np.int64(5)), "/leads/5"),
            (lambda c: c.leads.get(Stage.NEW), "/leads/4"),
            (lambda c: c.leads.get(5, include=Tag.VIP), "/leads/5?include=vip"),
            (lambda c: c.leads.remove_tag(7, Tag.VIP), "/leads/7/tags/vip"),
            (lambda c: c.leads.remove_tag(7, np.str_("a b")), "/leads/7/tags/a%20b"),
            (lambda c: c.leads.unenroll(7, sequence_id=np.int32(3)), "/leads/7/enroll-sequence/3"),
            (lambda c: c.request(HTTPMethod.GET, Tag.VIP, params=[("a", 1)]), "/vip?a=1"),
            (
                lambda c: c.request("get", "/x", params={"status": Tag.VIP, "n": np.float32(0.1)}),
                "/x?status=vip&n=0.1",
            ),
        ],
    )
    async def test_in_a_path_and_a_query(self, call: Callable[[Any], Any], path: str) -> None:
        assert (await sent(call))[0] == path

    async def test_in_a_list(self) -> None:
        filters = {
            "tags": [Tag.VIP, np.str_("novo")],
            "stage_id": Stage.NEW,
            "pipeline_id": np.int64(1),
            "status": Word.PENDING,
            "updated_since": pd.Timestamp("2026-06-30T12:00:00Z"),
            "created_from": np.datetime64("2026-06-01"),
            "include": pd.Series(["owner", "tasks"]),
            "page_size": np.int64(50),
            "start_page": np.int64(2),
            "max_items": np.int64(9),
        }
        path, _ = await sent(lambda c: c.leads.list(**filters).collect(), Answer(body=page_of([])))
        assert path == (
            "/leads?pipeline_id=1&stage_id=4&status=pending&tags[]=novo"
            "&updated_since=2026-06-30T12:00:00Z&created_from=2026-06-01&include=owner,tasks"
            "&page=2&per_page=50"
        )

    async def test_in_any_list_pairs_and_iterators_go_with_every_page(self) -> None:
        pages = [Answer(body=page_of([{"id": n}], number=n, last=2)) for n in (1, 2)]
        app = App(*pages)
        options: dict[str, Any] = {
            "params": [("f", iter(["a"])), ("g", Tag.VIP)],
            "page_size": np.int64(1),
            "max_items": Stage.NEW,
        }
        async with client_of(app) as client:
            assert len(await client.paginate("/x", **options).collect()) == 2
        assert [asked.query for asked in app.asked] == [
            {"f[]": "a", "g": "vip", "page": str(n), "per_page": "1"} for n in (1, 2)
        ]

    async def test_in_a_body(self) -> None:
        fields: dict[str, Any] = {
            "name": np.str_("Ana"),
            "pipeline_id": np.int64(1),
            "stage_id": Stage.NEW,
            "value": Decimal("19.90"),
            "tags": Tag.VIP,
            "source": Word.PENDING,
            "custom_fields": {
                "size": np.float64(1.5),
                "day": date(2026, 6, 30),
                "many": [Tag.VIP, np.int64(2)],
                Tag.VIP: {"deep": Stage.NEW},
            },
        }
        _, body = await sent(lambda c: c.leads.create(**fields))
        assert body == {
            "name": "Ana",
            "pipeline_id": 1,
            "stage_id": 4,
            "value": 19.9,
            "tags": ["vip"],
            "source": "pending",
            "custom_fields": {
                "size": 1.5,
                "day": "2026-06-30",
                "many": ["vip", 2],
                "vip": {"deep": 4},
            },
        }

    async def test_a_decimal_is_a_number_with_its_own_digits(self) -> None:
        app = App(Answer(body={"success": True}))
        async with client_of(app) as client:
            await client.leads.mark_won(7, stage_id=1, value=Decimal("0.10"))
        assert app.asked[0].body == b'{"stage_id":1,"value":0.10}'

    async def test_of_tasks_and_webhooks(self) -> None:
        _, body = await sent(
            lambda c: c.tasks.create(
                subject="A",
                type=Word.PENDING,
                due_date=np.datetime64("2026-07-01"),
                lead_id=Stage.NEW,
            )
        )
        assert body == {
            "subject": "A",
            "type": "pending",
            "due_date": "2026-07-01",
            "lead_id": 4,
        }
        _, body = await sent(
            lambda c: c.webhooks.update(np.int64(3), events=Tag.VIP, is_active=np.bool_(False))  # noqa: FBT003
        )
        assert body == {"events": ["vip"], "is_active": False}
        _, body = await sent(
            lambda c: c.webhooks.create(target_url="https://a.b", events="x", source=Word.PENDING),
            Answer(body={"id": 1}),
        )
        assert body == {"target_url": "https://a.b", "events": ["x"], "source": "pending"}


# Values that no argument takes, of every kind that a program may pass by mistake.
ODD: list[Any] = [
    b"x",
    object(),
    1j,
    float("nan"),
    10**400,
    "\ud800",
    {"\ud800": object()},
    [object()],
    {None: 1},
    pd.NaT,
    pd.NA,
    np.datetime64("NaT", "s"),
    np.array([[1]]),
]


async def run(client: AsyncClient, dotted: str, arguments: dict[str, Any]) -> None:
    call: Any = client
    for name in dotted.split("."):
        call = getattr(call, name)
    result = call(**arguments)
    if inspect.isawaitable(result):
        await result
    elif hasattr(result, "collect"):
        await result.collect()


GOOD: dict[str, dict[str, Any]] = {
    "request": {"method": "GET", "path": "/x", "params": None, "json": None, "type": None},
    "paginate": {"path": "/x", "params": None, "item": None, "page_size": 1, "max_items": 1},
    "leads.create": {"name": "A", "pipeline_id": 1, "stage_id": 1},
    "leads.upsert": {"email": "a@b", "match_by": "email"},
    "leads.move": {"id": 1, "stage_id": 1, "pipeline_id": 1},
    "leads.mark_won": {"id": 1, "stage_id": 1},
    "leads.mark_lost": {"id": 1, "stage_id": 1},
    "leads.add_tags": {"id": 1, "tags": "a"},
    "leads.remove_tag": {"id": 1, "tag": "a"},
    "leads.enroll": {"id": 1, "sequence_id": 1},
    "leads.unenroll": {"id": 1, "sequence_id": 1},
    "leads.send_whatsapp": {"id": 1, "body": "a"},
    "leads.send_template": {"id": 1, "template_id": 1},
    "leads.get": {"id": 1},
    "leads.delete": {"id": 1},
    "leads.list": {},
    "tasks.list": {},
    "tasks.create": {"subject": "A", "type": "call", "due_date": date(2026, 7, 1)},
    "webhooks.create": {"target_url": "https://a.b", "events": "x"},
    "webhooks.get": {"id": 1},
    "webhooks.update": {"id": 1, "is_active": True},
    "webhooks.delete": {"id": 1},
    "whatsapp.templates": {},
    "custom_fields.list": {},
    "users.list": {},
    "pipelines.list": {},
}


# A body may be an array, and of more items than there are nothing is wrong.
TAKEN = {("json", np.ndarray), ("max_items", int)}


def every_argument() -> list[tuple[str, str]]:
    found = []
    for dotted in GOOD:
        call: Any = AsyncClient("key")
        for name in dotted.split("."):
            call = getattr(call, name)
        found += [(dotted, name) for name in inspect.signature(call).parameters if name != "paging"]
    return found


@pytest.mark.parametrize(("dotted", "name"), every_argument())
async def test_no_argument_lets_another_error_out_and_nothing_is_sent(
    dotted: str, name: str
) -> None:
    app = App()
    async with client_of(app) as client:
        for odd in ODD:
            if (name, type(odd)) in TAKEN:
                continue
            with pytest.raises(InvalidArgumentError) as caught:
                await run(client, dotted, {**GOOD[dotted], name: odd})
            assert isinstance(caught.value, SyncroError)
            assert isinstance(caught.value, ValueError)
    assert app.asked == []
