"""Arguments the reference rules out are refused by name, and nothing is sent."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from syncro_async.errors import InvalidArgumentError
from syncro_async.resources.leads import Leads
from tests.recording import Recorder

NAIVE = datetime(2026, 6, 30, 10)  # noqa: DTZ001  # what is refused
URL = "https://example.com/a.png"
NEW: dict[str, Any] = {"name": "Ana", "pipeline_id": 1, "stage_id": 5}
CALLS_ON_A_LEAD: dict[str, Callable[[Leads, Any], Awaitable[object]]] = {
    "get": lambda leads, id_: leads.get(id_),
    "move": lambda leads, id_: leads.move(id_, stage_id=5, pipeline_id=1),
    "mark_won": lambda leads, id_: leads.mark_won(id_, stage_id=5),
    "mark_lost": lambda leads, id_: leads.mark_lost(id_, stage_id=5),
    "delete": lambda leads, id_: leads.delete(id_),
    "add_tags": lambda leads, id_: leads.add_tags(id_, ["vip"]),
    "remove_tag": lambda leads, id_: leads.remove_tag(id_, "vip"),
    "enroll": lambda leads, id_: leads.enroll(id_, sequence_id=1),
    "unenroll": lambda leads, id_: leads.unenroll(id_, sequence_id=1),
    "send_whatsapp": lambda leads, id_: leads.send_whatsapp(id_, body="Olá"),
    "send_template": lambda leads, id_: leads.send_template(id_, template_id=1),
}


async def refuses(asked: Callable[[Leads], Any], name: str, *words: str) -> None:
    recorder = Recorder()
    with pytest.raises(InvalidArgumentError, match=f"^{name}[ =\\[]") as refusal:  # noqa: PT012
        answer = asked(recorder.leads)
        if inspect.isawaitable(answer):
            await answer
    assert all(word in str(refusal.value) for word in words)
    assert recorder.silent


@pytest.mark.parametrize("call", CALLS_ON_A_LEAD)
@pytest.mark.parametrize("id_", [True, None, 1.0, "", " ", ".", ".."])
async def test_what_is_no_id_is_refused_in_every_path(call: str, id_: object) -> None:
    await refuses(lambda leads: CALLS_ON_A_LEAD[call](leads, id_), "id")


LISTS: list[tuple[dict[str, Any], str]] = [
    ({"page_size": 0}, "page_size"),
    ({"page_size": 201}, "page_size"),
    ({"page_size": True}, "page_size"),
    ({"page_size": 10.0}, "page_size"),
    ({"start_page": 0}, "start_page"),
    ({"start_page": "2"}, "start_page"),
    ({"max_items": -1}, "max_items"),
    ({"max_items": False}, "max_items"),
    ({"pipeline_id": "1"}, "pipeline_id"),
    ({"stage_id": True}, "stage_id"),
    ({"assigned_to": 1.5}, "assigned_to"),
    ({"source": 5}, "source"),
    ({"status": ["open"]}, "status"),
    ({"q": 5511}, "q"),
    ({"tags": 5}, "tags"),
    ({"tags": ["vip", 5]}, r"tags\[1\]"),
    ({"tags": ["vip", " "]}, r"tags\[1\]"),
    ({"tags": ""}, r"tags\[0\]"),
    ({"tags": {"vip": 1}}, "tags"),
    ({"updated_since": NAIVE}, "updated_since"),
    ({"created_from": NAIVE}, "created_from"),
    ({"created_to": NAIVE}, "created_to"),
    ({"updated_since": "2026-06-30"}, "updated_since"),
    ({"updated_since": 1700000000}, "updated_since"),
    ({"include": 5}, "include"),
    ({"include": ["owner", 5]}, r"include\[1\]"),
]


@pytest.mark.parametrize(("arguments", "name"), LISTS, ids=repr)
async def test_a_list_is_refused_at_once(arguments: dict[str, Any], name: str) -> None:
    recorder = Recorder()
    with pytest.raises(InvalidArgumentError, match=f"^{name}[ =]"):
        recorder.leads.list(**arguments)
    assert recorder.silent


@pytest.mark.parametrize("relation", ["events", "conversation", "siblings"])
@pytest.mark.parametrize("wrap", [str, lambda name: ["owner", name], lambda name: f"owner, {name}"])
async def test_relations_of_one_lead_only_are_refused_in_a_list_with_a_way_out(
    relation: str, wrap: Callable[[str], Any]
) -> None:
    await refuses(
        lambda leads: leads.list(include=wrap(relation)), "include", relation, "leads.get"
    )


@pytest.mark.parametrize("edge", [{"page_size": 1}, {"page_size": 200}, {"max_items": 0}])
def test_the_edges_of_a_list_are_allowed(edge: dict[str, int]) -> None:
    recorder = Recorder()
    recorder.leads.list(**edge, updated_since=date(2026, 6, 30))  # type: ignore[arg-type]
    ((name, value),) = edge.items()
    assert getattr(recorder.listed, name) == value


FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"pipeline_id": True}, "pipeline_id"),
    ({"stage_id": "5"}, "stage_id"),
    ({"assigned_to": True}, "assigned_to"),
    ({"name": 5}, "name"),
    ({"phone": 5511999887766}, "phone"),
    ({"email": b"ana@example.com"}, "email"),
    ({"value": math.nan}, "value"),
    ({"value": math.inf}, "value"),
    ({"value": -math.inf}, "value"),
    ({"value": "5000"}, "value"),
    ({"value": True}, "value"),
    ({"value": Decimal("NaN")}, "value"),
    ({"source": 1}, "source"),
    ({"notes": ["a"]}, "notes"),
    ({"utm_source": 1}, "utm_source"),
    ({"utm_medium": 1}, "utm_medium"),
    ({"utm_campaign": 1}, "utm_campaign"),
    ({"utm_term": 1}, "utm_term"),
    ({"utm_content": 1}, "utm_content"),
    ({"tags": [None]}, r"tags\[0\]"),
    ({"custom_fields": [("a", 1)]}, "custom_fields"),
    ({"custom_fields": {5: "a"}}, "a field name in custom_fields"),
    ({"custom_fields": {"a": math.nan}}, "custom_fields"),
    ({"custom_fields": {"a": [1.0, math.inf]}}, "custom_fields"),
    ({"custom_fields": {"a": NAIVE}}, "custom_fields"),
    ({"custom_fields": {"a": Ellipsis}}, "custom_fields"),
]


@pytest.mark.parametrize(("fields", "name"), FIELDS, ids=repr)
async def test_a_field_that_cannot_be_sent_as_meant_is_refused(
    fields: dict[str, Any], name: str
) -> None:
    await refuses(lambda leads: leads.create(**(NEW | fields)), name)
    await refuses(lambda leads: leads.upsert(**({"phone": "1", "email": "a@b"} | fields)), name)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"name": ""}, "name"),
        ({"name": " \t"}, "name"),
        ({"name": None}, "name"),
        ({"pipeline_id": None}, "pipeline_id"),
        ({"stage_id": None}, "stage_id"),
    ],
)
async def test_a_new_lead_needs_a_name_a_pipeline_and_a_stage(
    fields: dict[str, Any], name: str
) -> None:
    await refuses(lambda leads: leads.create(**(NEW | fields)), name)


@pytest.mark.parametrize(
    ("match_by", "fields", "needed"),
    [
        ("email", {"phone": "+5511"}, "needs email"),
        ("email", {"phone": "+5511", "email": ""}, "needs email"),
        ("phone", {"email": "a@b"}, "needs phone"),
        ("phone", {"email": "a@b", "phone": " "}, "needs phone"),
        ("email_or_phone", {"name": "Ana"}, "needs email or phone"),
        ("email_or_phone", {"email": "", "phone": " "}, "needs email or phone"),
        ("name", {"name": "Ana", "email": "a@b"}, "one of email, phone, email_or_phone"),
        (None, {"email": "a@b"}, "a str"),
        (["email"], {"email": "a@b"}, "a str"),
    ],
)
async def test_an_upsert_needs_what_it_matches_by(
    match_by: Any, fields: dict[str, Any], needed: str
) -> None:
    await refuses(lambda leads: leads.upsert(match_by=match_by, **fields), "match_by", needed)


OTHERS: list[tuple[Callable[[Leads], object], str]] = [
    (lambda leads: leads.get(1, include=7), "include"),  # type: ignore[arg-type]
    (lambda leads: leads.move(1, stage_id=None, pipeline_id=1), "stage_id"),  # type: ignore[arg-type]
    (lambda leads: leads.move(1, stage_id=5, pipeline_id=True), "pipeline_id"),
    (lambda leads: leads.mark_won(1, stage_id="5"), "stage_id"),  # type: ignore[arg-type]
    (lambda leads: leads.mark_won(1, stage_id=5, value=math.nan), "value"),
    (lambda leads: leads.mark_lost(1, stage_id=True), "stage_id"),
    (lambda leads: leads.mark_lost(1, stage_id=5, reason_id="3"), "reason_id"),  # type: ignore[arg-type]
    (lambda leads: leads.add_tags(1, []), "tags"),
    (lambda leads: leads.add_tags(1, iter(())), "tags"),
    (lambda leads: leads.add_tags(1, ""), "tags"),
    (lambda leads: leads.add_tags(1, None), "tags"),  # type: ignore[arg-type]
    (lambda leads: leads.remove_tag(1, ""), "tag"),
    (lambda leads: leads.remove_tag(1, ".."), "tag"),
    (lambda leads: leads.remove_tag(1, 5), "tag"),  # type: ignore[arg-type]
    (lambda leads: leads.enroll(1, sequence_id=True), "sequence_id"),
    (lambda leads: leads.unenroll(1, sequence_id=True), "sequence_id"),
    (lambda leads: leads.unenroll(1, sequence_id=".."), "sequence_id"),  # type: ignore[arg-type]
    (lambda leads: leads.send_whatsapp(1), "body or media_url"),
    (lambda leads: leads.send_whatsapp(1, body=" \n"), "body or media_url"),
    (lambda leads: leads.send_whatsapp(1, caption="Só a legenda"), "body or media_url"),
    (lambda leads: leads.send_whatsapp(1, body=5), "body"),  # type: ignore[arg-type]
    (lambda leads: leads.send_whatsapp(1, body="Olá", media_url=""), "media_url"),
    (lambda leads: leads.send_whatsapp(1, media_url=URL, caption=5), "caption"),  # type: ignore[arg-type]
    (lambda leads: leads.send_whatsapp(1, body="Olá", instance_id=True), "instance_id"),
    (lambda leads: leads.send_template(1, template_id="1"), "template_id"),  # type: ignore[arg-type]
    (lambda leads: leads.send_template(1, template_id=1, variables="João"), "variables"),
    (lambda leads: leads.send_template(1, template_id=1, variables=[1]), "variables"),  # type: ignore[list-item]
    (lambda leads: leads.send_template(1, template_id=1, variables=None), "variables"),  # type: ignore[arg-type]
    (lambda leads: leads.send_template(1, template_id=1, header_media_url=" "), "header_media_url"),
    (lambda leads: leads.send_template(1, template_id=1, instance_id=1.0), "instance_id"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("asked", "name"), OTHERS)
async def test_every_other_call_refuses_what_the_reference_rules_out(
    asked: Callable[[Leads], object], name: str
) -> None:
    await refuses(asked, name)


def test_no_call_takes_a_limit() -> None:
    calls = [
        call
        for name, call in vars(Leads).items()
        if inspect.isfunction(call) and not name.startswith("_")
    ]
    assert len(calls) == 14
    assert not any("limit" in inspect.signature(call).parameters for call in calls)


def test_after_the_id_every_argument_goes_by_keyword_except_the_tags() -> None:
    positional = {
        name: " ".join(
            parameter.name
            for parameter in inspect.signature(call).parameters.values()
            if parameter.kind is not parameter.KEYWORD_ONLY
        )
        for name, call in vars(Leads).items()
        if inspect.isfunction(call) and not name.startswith("_")
    }
    assert positional == {
        **dict.fromkeys(("list", "create", "upsert"), "self"),
        **dict.fromkeys(CALLS_ON_A_LEAD, "self id"),
        "add_tags": "self id tags",
        "remove_tag": "self id tag",
    }


def test_an_aware_datetime_is_no_reason_to_refuse() -> None:
    recorder = Recorder()
    recorder.leads.list(created_from=NAIVE.replace(tzinfo=UTC))
    assert recorder.listed.query == {"created_from": "2026-06-30T10:00:00Z"}
