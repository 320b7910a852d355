"""The sample leads, and the quirks of the server they can be shown with."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from syncro_async.sandbox import BARE_LEAD_ID, COMPLETE_LEAD_ID, Sandbox
from syncro_async.testing.fake_clock import FakeClock

Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
def quirky(connect: Connect, clock: FakeClock) -> httpx.AsyncClient:
    return connect(Sandbox(clock=clock, php_quirks=True))


def test_the_same_seed_makes_the_same_leads_whatever_their_number() -> None:
    few, many, other = Sandbox(50), Sandbox(500), Sandbox(50, seed=2)
    assert [many.leads[n] for n in few.leads] == list(few.leads.values())
    assert few.leads != other.leads


def test_phones_and_emails_tell_leads_apart() -> None:
    leads = Sandbox(5_000).leads.values()
    assert [lead["id"] for lead in leads] == list(range(1, 5_001))
    # Two siblings share theirs, two leads have no phone, one no email.
    assert len({lead["phone"] for lead in leads}) == 5_000 - 2
    assert len({lead["email"] for lead in leads}) == 5_000 - 1


def test_sample_leads_were_created_in_order_before_any_test_begins() -> None:
    leads = Sandbox(2_000).leads.values()
    moments = [lead["created_at"] for lead in leads]
    assert moments == sorted(moments)
    assert moments[-1] < "2026-06-30T10:00:00Z"


def test_names_are_brazilian_accents_and_all() -> None:
    names = " ".join(lead["name"] for lead in Sandbox(500).leads.values())
    assert {"João", "Conceição", "Silva"} <= set(names.split())
    assert all(lead["email"].isascii() for lead in Sandbox(8).leads.values())


async def test_an_empty_map_arrives_as_an_empty_list(quirky: httpx.AsyncClient) -> None:
    data = (await quirky.get("/leads")).json()["data"]
    assert data[BARE_LEAD_ID - 1]["custom_fields"] == []
    assert data[COMPLETE_LEAD_ID - 1]["custom_fields"]["tamanho_empresa"] == "100+"


async def test_decimals_arrive_as_text_and_moments_in_microseconds(
    quirky: httpx.AsyncClient,
) -> None:
    answer = await quirky.get("/leads?include=products,sales,sequences")
    lead = answer.json()["data"][COMPLETE_LEAD_ID - 1]
    assert lead["value"] == lead["sales"][0]["value"] == "5000.00"
    assert lead["products"][0]["unit_price"] == "1200.00"
    assert lead["created_at"] == lead["sales"][0]["closed_at"] == "2025-09-01T10:10:00.000000Z"
    assert lead["sequences"][0]["next_step_at"].endswith(".000000Z")
    bare = answer.json()["data"][BARE_LEAD_ID - 1]
    assert bare["value"] is None


async def test_answers_for_one_lead_show_a_few_fields_and_some_nobody_documented(
    quirky: httpx.AsyncClient,
) -> None:
    fetched = (await quirky.get("/leads/1?include=owner")).json()["lead"]
    assert set(fetched) == {"id", "name", "stage_id", "sandbox_extra", "assigned_to", "owner"}
    created = await quirky.post("/leads", json={"name": "A", "pipeline_id": 1, "stage_id": 5})
    assert created.json()["lead"]["custom_fields"] == []
    assert "sandbox_extra" in created.json()["lead"]
    listed = (await quirky.get("/leads")).json()
    assert "sandbox_extra" in listed["meta"]
    assert "sandbox_extra" in listed["data"][0]


async def test_enrolling_tells_the_next_step_in_microseconds_too(
    quirky: httpx.AsyncClient,
) -> None:
    answer = await quirky.post("/leads/1/enroll-sequence", json={"sequence_id": 1})
    assert answer.json()["next_step_at"] == "2026-07-01T12:00:00.000000Z"
    left = await quirky.delete("/leads/1/enroll-sequence/1")
    assert left.status_code == 200
    lead = (await quirky.get("/leads/1?include=sequences")).json()["lead"]
    assert lead["sequences"][0]["next_step_at"] is None
