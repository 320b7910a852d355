"""Reading leads: paging, filters, and every relation of `include`."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from syncro_async.sandbox import (
    BARE_LEAD_ID,
    COMPLETE_LEAD_ID,
    FIRST_STAGE_ID,
    OWNER_ID,
    SIBLING_LEAD_IDS,
    WON_LEAD_ID,
    Sandbox,
)
from syncro_async.sandbox.data.store import Order
from syncro_async.testing.fake_clock import FakeClock
from tests.sandbox.conftest import Connect

BASE_FIELDS = {
    *("id", "name", "phone", "email", "company", "birthday", "value", "source", "tags"),
    *("pipeline_id", "stage_id", "notes", "stage", "pipeline", "created_at", "custom_fields"),
    *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
}
LISTED_RELATIONS = {
    "owner": {"assigned_to", "owner"},
    "products": {"products"},
    "contacts": {"contacts"},
    "notes": {"notes_list"},
    "sales": {"sales", "lost_sales"},
    "tasks": {"tasks"},
    "sequences": {"active_sequence", "sequences"},
    "score": {"score", "score_updated_at"},
}
OTHER_RELATIONS = {
    "siblings": {"siblings", "contact_totals"},
    "events": {"events"},
    "conversation": {"conversation"},
}


async def ids(api: httpx.AsyncClient, **params: Any) -> list[int]:
    answer = await api.get("/leads", params={"per_page": 200, **params})
    assert answer.status_code == 200, answer.text
    return [lead["id"] for lead in answer.json()["data"]]


async def test_a_list_shows_fifty_leads_in_the_base_format(api: httpx.AsyncClient) -> None:
    answer = (await api.get("/leads")).json()
    assert answer["success"] is True
    assert [lead["id"] for lead in answer["data"]] == list(range(1, 51))
    assert set(answer["data"][0]) == BASE_FIELDS
    assert answer["meta"] == {
        "total": 100,
        "per_page": 50,
        "current_page": 1,
        "last_page": 2,
        "has_more": True,
    }


@pytest.mark.parametrize(
    ("page", "first", "count", "more"),
    [(1, 1, 30, True), (3, 61, 30, True), (4, 91, 10, False), (5, 0, 0, False)],
)
async def test_pages_cut_the_list_without_gap_or_overlap(
    api: httpx.AsyncClient, *, page: int, first: int, count: int, more: bool
) -> None:
    answer = (await api.get("/leads", params={"per_page": 30, "page": page})).json()
    assert [lead["id"] for lead in answer["data"]] == list(range(first, first + count))
    assert answer["meta"]["has_more"] is more
    assert answer["meta"]["last_page"] == 4


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("oldest_first", [1, 2, 3, 4]),
        ("newest_first", [4, 3, 2, 1]),
        ("last_changed_first", [2, 4, 3, 1]),
    ],
)
async def test_a_list_has_the_order_that_was_chosen(
    connect: Connect, clock: FakeClock, order: Order, expected: list[int]
) -> None:
    sandbox = Sandbox(4, clock=clock, order=order)
    api = connect(sandbox)
    await api.post("/leads/2/tags", json={"tags": ["novo"]})
    assert await ids(api) == expected
    assert await ids(api, per_page=3, page=2) == expected[3:]
    assert await ids(api, created_from="2025-09-01") == expected


async def test_an_empty_account_has_one_empty_page(connect: Any, clock: FakeClock) -> None:
    answer = (await connect(Sandbox(0, clock=clock)).get("/leads")).json()
    assert answer["data"] == []
    assert answer["meta"]["last_page"] == 1


@pytest.mark.parametrize(
    ("params", "field", "complaint"),
    [
        ({"per_page": "201"}, "per_page", "must not be greater than 200."),
        ({"per_page": "0"}, "per_page", "must be at least 1."),
        ({"page": "zwei"}, "page", "must be an integer."),
        ({"pipeline_id": "1.5"}, "pipeline_id", "must be an integer."),
        ({"tags": "vip"}, "tags", "must be an array."),
        ({"updated_since": "yesterday"}, "updated_since", "must be a valid date."),
        ({"created_to": "0001-01-01T00:00:00+14:00"}, "created_to", "must be a valid date."),
    ],
)
async def test_parameters_that_cannot_be_are_422(
    api: httpx.AsyncClient, params: dict[str, str], field: str, complaint: str
) -> None:
    answer = await api.get("/leads", params=params)
    text = f"The {field.replace('_', ' ')} field {complaint}"
    assert answer.status_code == 422
    assert answer.json() == {"message": text, "errors": {field: [text]}}


@pytest.mark.parametrize("name", ["pipeline_id", "stage_id", "assigned_to", "source"])
async def test_equality_filters_keep_what_equals(
    api: httpx.AsyncClient, sandbox: Sandbox, name: str
) -> None:
    wanted = sandbox.leads[12][name]
    expected = [lead["id"] for lead in sandbox.leads.values() if lead[name] == wanted]
    assert 0 < len(expected) < 100
    assert await ids(api, **{name: wanted}) == expected


async def test_status_is_read_from_the_stage(api: httpx.AsyncClient) -> None:
    won, lost, still_open = [await ids(api, status=s) for s in ("won", "lost", "open")]
    assert WON_LEAD_ID in won
    assert sorted(won + lost + still_open) == list(range(1, 101))
    assert min(len(won), len(lost), len(still_open)) > 0
    assert await ids(api, status="never heard of") == []


@pytest.mark.parametrize("query", ["tags[]=vip&tags[]=frio", "tags[0]=vip&tags[1]=frio"])
async def test_tags_keep_leads_with_any_of_them(
    api: httpx.AsyncClient, sandbox: Sandbox, query: str
) -> None:
    answer = (await api.get(f"/leads?per_page=200&{query}")).json()
    expected = [lead["id"] for lead in sandbox.leads.values() if {"vip", "frio"} & {*lead["tags"]}]
    assert 0 < len(expected) < 100
    assert [lead["id"] for lead in answer["data"]] == expected


async def test_a_plain_name_before_its_list_wins_over_it(api: httpx.AsyncClient) -> None:
    answer = await api.get("/leads?tags=vip&tags[]=vip")
    assert answer.status_code == 422


async def test_q_looks_into_name_email_and_phone_whatever_the_case(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    lead = sandbox.leads[30]
    assert await ids(api, q=lead["name"].upper()) == [
        other["id"] for other in sandbox.leads.values() if other["name"] == lead["name"]
    ]
    assert await ids(api, q=lead["email"]) == [30]
    assert await ids(api, q=lead["phone"][3:]) == [30]
    assert await ids(api, q="none") == []
    assert len(await ids(api, q="   ")) == 100


async def test_of_a_repeated_parameter_the_last_counts(api: httpx.AsyncClient) -> None:
    answer = (await api.get("/leads?per_page=7&per_page=3")).json()
    assert len(answer["data"]) == 3


async def test_created_from_and_created_to_include_their_day(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    days = {lead["id"]: lead["created_at"][:10] for lead in sandbox.leads.values()}
    assert len(set(days.values())) == 2
    first, second = sorted(set(days.values()))
    of_first = [lead_id for lead_id, day in days.items() if day == first]
    of_second = [lead_id for lead_id, day in days.items() if day == second]
    assert await ids(api, created_to=first) == of_first
    assert await ids(api, created_from=second) == of_second
    assert await ids(api, created_from=first, created_to=second) == of_first + of_second


async def test_moments_compare_in_utc_to_the_second(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    at = sandbox.leads[40]["created_at"]
    assert (await ids(api, created_from=at))[0] == 40
    assert (await ids(api, created_from=at.replace("Z", ".5Z")))[0] == 41
    assert (await ids(api, created_to=at))[-1] == 40
    elsewhere = at.replace("T", "T").replace("Z", "+00:00")
    assert (await ids(api, created_from=elsewhere))[0] == 40
    assert (await ids(api, created_from=at.rstrip("Z")))[0] == 40


async def test_updated_since_finds_what_was_written_from_that_moment_on(
    api: httpx.AsyncClient, clock: FakeClock
) -> None:
    assert await ids(api, updated_since="2026-06-30T12:00:00Z") == []
    await clock.sleep(10)
    await api.post("/leads/3/tags", json={"tags": ["novo"]})
    assert await ids(api, updated_since="2026-06-30T09:00:10-03:00") == [3]
    assert await ids(api, updated_since="2026-06-30T12:00:11Z") == []


async def test_filters_hold_together(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    both = await ids(api, stage_id=FIRST_STAGE_ID, assigned_to=OWNER_ID)
    assert both == [
        lead["id"]
        for lead in sandbox.leads.values()
        if lead["stage_id"] == FIRST_STAGE_ID and lead["assigned_to"] == OWNER_ID
    ]


async def test_a_filtered_list_is_paged_by_what_matches(api: httpx.AsyncClient) -> None:
    matching = await ids(api, status="open")
    answer = (await api.get("/leads?status=open&per_page=10&page=2")).json()
    assert [lead["id"] for lead in answer["data"]] == matching[10:20]
    assert answer["meta"]["total"] == len(matching)


@pytest.mark.parametrize(("token", "fields"), (LISTED_RELATIONS | OTHER_RELATIONS).items())
async def test_each_relation_adds_its_fields_to_one_lead(
    api: httpx.AsyncClient, token: str, fields: set[str]
) -> None:
    lead = (await api.get(f"/leads/{COMPLETE_LEAD_ID}?include={token}")).json()["lead"]
    assert set(lead) == BASE_FIELDS | fields
    assert all(lead[field] is not None for field in fields)


async def test_a_list_adds_the_cheap_relations_and_ignores_the_others_and_unknown_names(
    api: httpx.AsyncClient,
) -> None:
    everything = [*LISTED_RELATIONS, *OTHER_RELATIONS, "nonsense"]
    answer = (await api.get(f"/leads?include={', '.join(everything)}")).json()
    assert set(answer["data"][0]) == BASE_FIELDS.union(*LISTED_RELATIONS.values())


async def test_relations_have_the_documented_fields(api: httpx.AsyncClient) -> None:
    tokens = ",".join([*LISTED_RELATIONS, *OTHER_RELATIONS])
    lead = (await api.get(f"/leads/{COMPLETE_LEAD_ID}?include={tokens}")).json()["lead"]
    documented = {
        "products": "id product_id product_name quantity unit_price discount_percent total",
        "contacts": "id name role phone email is_primary",
        "notes_list": "id body author created_at",
        "sales": "id pipeline_id value closed_by closed_at",
        "lost_sales": "id pipeline_id reason_id lost_at lost_by",
        "tasks": "id subject type status priority due_date due_time completed_at assigned_to",
        "sequences": "id sequence_id name status next_step_at",
        "events": "id event_type description performed_by created_at",
    }
    for name, fields in documented.items():
        assert lead[name], name
        assert all(set(item) == set(fields.split()) for item in lead[name]), name
    assert set(lead["owner"]) == {"id", "name", "email"}
    sequence = {"id", "name", "current_step", "total_steps", "status"}
    assert set(lead["active_sequence"]) == sequence
    conversation = {"id", "phone", "status", "last_message_at", "unread_count", "instance_id"}
    assert set(lead["conversation"]) == conversation


async def test_products_are_worth_price_times_quantity_less_discount(
    api: httpx.AsyncClient,
) -> None:
    lead = (await api.get(f"/leads/{COMPLETE_LEAD_ID}?include=products")).json()["lead"]
    for product in lead["products"]:
        full = product["unit_price"] * product["quantity"]
        assert product["total"] == pytest.approx(full * (1 - product["discount_percent"] / 100))


async def test_siblings_are_the_other_deals_of_the_same_contact(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    one, other = SIBLING_LEAD_IDS
    lead = (await api.get(f"/leads/{one}?include=siblings")).json()["lead"]
    assert [deal["id"] for deal in lead["siblings"]] == [other]
    worth = sandbox.leads[one]["value"] + sandbox.leads[other]["value"]
    assert lead["contact_totals"] == {"leads": 2, "value": worth}


async def test_a_bare_lead_has_nulls_and_empty_relations(api: httpx.AsyncClient) -> None:
    tokens = ",".join([*LISTED_RELATIONS, *OTHER_RELATIONS])
    lead = (await api.get(f"/leads/{BARE_LEAD_ID}?include={tokens}")).json()["lead"]
    for name in ("phone", "email", "value", "owner", "score", "active_sequence", "conversation"):
        assert lead[name] is None, name
    assert lead["custom_fields"] == {}
    assert lead["products"] == lead["siblings"] == lead["tags"] == []
    assert lead["contact_totals"] == {"leads": 1, "value": 0.0}


@pytest.mark.parametrize("lead_id", ["0", "101", "abc", "-1", "²", "1.0"])
async def test_a_missing_lead_is_404_with_a_message(api: httpx.AsyncClient, lead_id: str) -> None:
    answer = await api.get(f"/leads/{lead_id}")
    assert answer.status_code == 404
    assert answer.json() == {"message": "Lead não encontrado."}


async def test_an_include_that_is_a_list_is_422(api: httpx.AsyncClient) -> None:
    assert (await api.get("/leads/1?include[]=owner")).status_code == 422


async def test_the_list_shows_a_change_at_once(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await api.get("/leads?include=sales")
    sandbox.leads[1]["name"] = "Outra Pessoa"
    await api.put("/leads/2/won", json={"stage_id": 10})
    data = (await api.get("/leads?include=sales")).json()["data"]
    assert data[0]["name"] == "Outra Pessoa"
    assert data[1]["sales"] == []  # held by its mandatory task
    sandbox.complete_tasks(2)
    await api.put("/leads/2/won", json={"stage_id": 10, "value": 9})
    data = (await api.get("/leads?include=sales")).json()["data"]
    assert [sale["value"] for sale in data[1]["sales"]] == [9]
