"""The fourteen calls against the sandbox, in its plain style and with the quirks of PHP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
from msgspec import UNSET

from syncro_async.errors import NotFoundError
from syncro_async.models.lead import Lead
from syncro_async.models.relations import Owner
from syncro_async.resources.leads import Leads
from syncro_async.sandbox import (
    ACTIVE_SEQUENCE_ID,
    BARE_LEAD_ID,
    COMPLETE_LEAD_ID,
    LOST_REASON_ID,
    LOST_STAGE_ID,
    MEDIA_TEMPLATE_ID,
    OPEN_STAGE_ID,
    ORDINARY_LEAD_ID,
    OWNER_ID,
    PIPELINE_ID,
    SECOND_PIPELINE_ID,
    SECOND_PIPELINE_STAGE_ID,
    SIBLING_LEAD_IDS,
    TEMPLATE_ID,
    WON_STAGE_ID,
    Sandbox,
)
from syncro_async.testing import FakeClock, sandbox_client

IN_A_LIST = ("owner", "products", "contacts", "notes", "sales", "tasks", "sequences", "score")
FIELDS_IN_A_LIST = {
    *("owner", "products", "contacts", "notes_list", "sales", "lost_sales", "tasks"),
    *("active_sequence", "sequences", "score", "score_updated_at"),
}
ONE_AT_A_TIME = ("events", "conversation", "siblings")
FIELDS_ONE_AT_A_TIME = {"events", "conversation", "siblings", "contact_totals"}


@dataclass
class Account:
    sandbox: Sandbox
    leads: Leads

    @property
    def line(self) -> tuple[str, str]:
        """Method and path of the last request."""
        last = self.sandbox.arrivals[-1]
        return last.method, last.path[last.path.index("/leads") :]

    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.sandbox.arrivals[-1].query))


@pytest.fixture(params=[False, True], ids=["plain", "php quirks"])
async def account(request: pytest.FixtureRequest) -> AsyncIterator[Account]:
    clock = FakeClock()
    sandbox = Sandbox(30, clock=clock, php_quirks=request.param)
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        yield Account(sandbox, syncro.leads)


def unset(lead: Lead) -> set[str]:
    return {name for name in Lead.__struct_fields__ if getattr(lead, name) is UNSET}


async def test_a_list_shows_every_lead_as_the_account_holds_it(account: Account) -> None:
    leads = await account.leads.list(page_size=7).collect()
    assert [lead.id for lead in leads] == list(account.sandbox.leads)
    for lead in leads:
        stored = account.sandbox.leads[lead.id]
        for name in ("name", "phone", "email", "company", "value", "source", "tags", "notes"):
            assert getattr(lead, name) == stored[name]
        assert (lead.stage_id, lead.pipeline_id) == (stored["stage_id"], stored["pipeline_id"])
        assert lead.stage is not None
        assert lead.stage.id == lead.stage_id
        assert lead.custom_fields == stored["custom_fields"]
        assert lead.created_at == datetime.fromisoformat(stored["created_at"])
        assert lead.birthday is None or lead.birthday.isoformat() == stored["birthday"]
        assert unset(lead) == FIELDS_IN_A_LIST | FIELDS_ONE_AT_A_TIME
    assert len(account.sandbox.arrivals) == 5


async def test_a_lead_without_anything_is_listed_too(account: Account) -> None:
    (bare,) = [lead async for lead in account.leads.list() if lead.id == BARE_LEAD_ID]
    assert (bare.phone, bare.value, bare.tags, bare.custom_fields) == (None, None, [], {})


SINCE = datetime(2025, 9, 1, 11, tzinfo=UTC)
FILTERS: list[tuple[dict[str, Any], str, str, Callable[[Any], bool]]] = [
    ({"pipeline_id": 1}, "pipeline_id", "1", lambda lead: lead["pipeline_id"] == 1),
    ({"stage_id": 5}, "stage_id", "5", lambda lead: lead["stage_id"] == 5),
    ({"assigned_to": 12}, "assigned_to", "12", lambda lead: lead["assigned_to"] == 12),
    ({"source": "site"}, "source", "site", lambda lead: lead["source"] == "site"),
    ({"status": "won"}, "status", "won", lambda lead: lead["stage_id"] in {10, 22}),
    ({"tags": "vip"}, "tags[]", "vip", lambda lead: "vip" in lead["tags"]),
    (
        {"tags": ["frio", "vip"]},
        "tags[]",
        "vip",
        lambda lead: not {"frio", "vip"}.isdisjoint(lead["tags"]),
    ),
    ({"q": "Íris Con"}, "q", "Íris Con", lambda lead: lead["name"] == "Íris Conceição"),
    (
        {"updated_since": SINCE},
        "updated_since",
        "2025-09-01T11:00:00Z",
        lambda lead: lead["updated_at"] >= "2025-09-01T11:00:00Z",
    ),
    (
        {"created_from": SINCE},
        "created_from",
        "2025-09-01T11:00:00Z",
        lambda lead: lead["created_at"] >= "2025-09-01T11:00:00Z",
    ),
    (
        {"created_to": SINCE},
        "created_to",
        "2025-09-01T11:00:00Z",
        lambda lead: lead["created_at"] <= "2025-09-01T11:00:00Z",
    ),
]


@pytest.mark.parametrize(("filters", "name", "sent", "passes"), FILTERS)
async def test_a_filter_arrives_as_written_and_narrows_the_list(
    account: Account,
    filters: dict[str, Any],
    name: str,
    sent: str,
    passes: Callable[[Any], bool],
) -> None:
    found = [lead.id async for lead in account.leads.list(**filters)]
    assert account.query() == {name: sent, "page": "1", "per_page": "200"}
    assert found == [lead["id"] for lead in account.sandbox.leads.values() if passes(lead)]
    assert 0 < len(found) < len(account.sandbox.leads)


async def test_a_list_brings_the_relations_it_was_asked_for(account: Account) -> None:
    leads = await account.leads.list(include=[*IN_A_LIST, "unheard_of"]).collect()
    assert account.query()["include"] == ",".join([*IN_A_LIST, "unheard_of"])
    for lead in leads:
        assert unset(lead) == FIELDS_ONE_AT_A_TIME
    complete = next(lead for lead in leads if lead.id == COMPLETE_LEAD_ID)
    assert complete.assigned_to == OWNER_ID
    assert complete.owner == Owner(id=OWNER_ID, name="Ana", email="ana@example.com")


async def test_one_lead_brings_every_relation(account: Account) -> None:
    lead = await account.leads.get(COMPLETE_LEAD_ID, include=[*IN_A_LIST, *ONE_AT_A_TIME])
    assert account.line == ("GET", f"/leads/{COMPLETE_LEAD_ID}")
    assert unset(lead) == set()


async def test_siblings_are_leads(account: Account) -> None:
    one, other = SIBLING_LEAD_IDS
    lead = await account.leads.get(one, include="siblings")
    assert lead.siblings is not UNSET
    assert [sibling.id for sibling in lead.siblings] == [other]
    assert unset(lead) == (FIELDS_IN_A_LIST | FIELDS_ONE_AT_A_TIME) - {"siblings", "contact_totals"}


async def test_a_lead_is_created_with_every_field(account: Account) -> None:
    fields: dict[str, Any] = {
        "name": "João Silva",
        "pipeline_id": PIPELINE_ID,
        "stage_id": OPEN_STAGE_ID,
        "phone": "+5511999880000",
        "email": "joao@example.com",
        "value": 5000.5,
        "source": "site",
        "tags": ["vip", "São Paulo"],
        "notes": "Anotações",
        "utm_source": "google",
        "utm_medium": "cpc",
        "utm_campaign": "verao_2026",
        "utm_term": "crm",
        "utm_content": "banner",
        "assigned_to": OWNER_ID,
        "custom_fields": {"tamanho_empresa": "100+"},
    }
    lead = await account.leads.create(**fields)
    assert account.line == ("POST", "/leads")
    stored = account.sandbox.leads[lead.id]
    assert {name: stored[name] for name in fields} == fields
    assert lead.name == "João Silva"
    assert lead.custom_fields == {"tamanho_empresa": "100+"}


async def test_an_upsert_creates_once_and_then_updates(account: Account) -> None:
    fields: dict[str, Any] = {"name": "Rui", "email": "rui@example.com", "match_by": "email"}
    home: dict[str, Any] = {"pipeline_id": PIPELINE_ID, "stage_id": OPEN_STAGE_ID}
    first = await account.leads.upsert(**fields, **home)
    again = await account.leads.upsert(**(fields | {"name": "Rui Costa"}))
    assert account.line == ("POST", "/leads/upsert")
    assert (first.created, again.created) == (True, False)
    assert first.lead.id == again.lead.id
    assert account.sandbox.leads[again.lead.id]["name"] == "Rui Costa"


async def test_a_lead_moves_to_another_pipeline(account: Account) -> None:
    await account.leads.move(
        ORDINARY_LEAD_ID, stage_id=SECOND_PIPELINE_STAGE_ID, pipeline_id=SECOND_PIPELINE_ID
    )
    assert account.line == ("PUT", f"/leads/{ORDINARY_LEAD_ID}/stage")
    stored = account.sandbox.leads[ORDINARY_LEAD_ID]
    assert stored["stage_id"] == SECOND_PIPELINE_STAGE_ID
    assert stored["pipeline_id"] == SECOND_PIPELINE_ID


async def test_a_won_lead_has_a_sale_of_its_value(account: Account) -> None:
    await account.leads.mark_won(ORDINARY_LEAD_ID, stage_id=WON_STAGE_ID, value=7500.0)
    assert account.line == ("PUT", f"/leads/{ORDINARY_LEAD_ID}/won")
    lead = await account.leads.get(ORDINARY_LEAD_ID, include=["sales"])
    assert lead.stage_id == WON_STAGE_ID
    assert lead.sales is not UNSET
    assert [sale.value for sale in lead.sales] == [7500.0]


async def test_a_lost_lead_has_a_loss_with_its_reason(account: Account) -> None:
    await account.leads.mark_lost(
        ORDINARY_LEAD_ID, stage_id=LOST_STAGE_ID, reason_id=LOST_REASON_ID
    )
    assert account.line == ("PUT", f"/leads/{ORDINARY_LEAD_ID}/lost")
    lead = await account.leads.get(ORDINARY_LEAD_ID, include=["sales"])
    assert lead.stage_id == LOST_STAGE_ID
    assert lead.lost_sales is not UNSET
    assert [loss.reason_id for loss in lead.lost_sales] == [LOST_REASON_ID]


async def test_a_deleted_lead_is_gone(account: Account) -> None:
    await account.leads.delete(ORDINARY_LEAD_ID)
    assert account.line == ("DELETE", f"/leads/{ORDINARY_LEAD_ID}")
    assert ORDINARY_LEAD_ID not in account.sandbox.leads
    with pytest.raises(NotFoundError):
        await account.leads.delete(ORDINARY_LEAD_ID)


@pytest.mark.parametrize(
    "tag", ["vip", "São Paulo", "50% off", "a+b", "a?b#c&d=e", "a/b", "%2e%2e"]
)
async def test_a_tag_is_added_and_removed_by_its_name(account: Account, tag: str) -> None:
    account.sandbox.leads[ORDINARY_LEAD_ID]["tags"] = ["first"]
    assert await account.leads.add_tags(ORDINARY_LEAD_ID, tag) == ["first", tag]
    assert account.line == ("POST", f"/leads/{ORDINARY_LEAD_ID}/tags")
    assert await account.leads.remove_tag(ORDINARY_LEAD_ID, tag) == ["first"]
    assert account.sandbox.leads[ORDINARY_LEAD_ID]["tags"] == ["first"]
    assert await account.leads.remove_tag(ORDINARY_LEAD_ID, "first") == []


@pytest.mark.parametrize("id_", ["1/tags/x", "1?page=2", "1#", "..%2F1"])
async def test_an_id_cannot_reach_another_path(account: Account, id_: Any) -> None:
    before = dict(account.sandbox.leads)
    with pytest.raises(NotFoundError):
        await account.leads.delete(id_)
    assert account.sandbox.leads == before
    assert account.sandbox.writes == []


async def test_a_lead_enters_a_sequence_and_leaves_it(account: Account) -> None:
    enrolled = await account.leads.enroll(ORDINARY_LEAD_ID, sequence_id=ACTIVE_SEQUENCE_ID)
    assert account.line == ("POST", f"/leads/{ORDINARY_LEAD_ID}/enroll-sequence")
    assert (enrolled.lead_id, enrolled.sequence_id) == (ORDINARY_LEAD_ID, ACTIVE_SEQUENCE_ID)
    assert enrolled.status == "active"
    assert enrolled.next_step_at is not None
    assert enrolled.next_step_at.utcoffset() is not None
    lead = await account.leads.get(ORDINARY_LEAD_ID, include=["sequences"])
    assert lead.sequences is not UNSET
    assert [one.id for one in lead.sequences] == [enrolled.lead_sequence_id]
    left = await account.leads.unenroll(ORDINARY_LEAD_ID, sequence_id=ACTIVE_SEQUENCE_ID)
    path = f"/leads/{ORDINARY_LEAD_ID}/enroll-sequence/{ACTIVE_SEQUENCE_ID}"
    assert account.line == ("DELETE", path)
    assert (left.status, left.lead_sequence_id, left.next_step_at) == ("exited_manual", None, None)


@pytest.mark.parametrize(
    "message",
    [
        {"body": "Olá! Tudo bem?"},
        {"media_url": "https://example.com/a.png"},
        {"media_url": "https://example.com/a.png", "caption": "Proposta"},
    ],
)
async def test_a_text_and_an_image_are_sent(account: Account, message: dict[str, Any]) -> None:
    sent = await account.leads.send_whatsapp(ORDINARY_LEAD_ID, **message)
    assert account.line == ("POST", f"/leads/{ORDINARY_LEAD_ID}/send-whatsapp")
    assert sent.provider_msg_id is not None
    assert sent.template_name is None
    lead = await account.leads.get(ORDINARY_LEAD_ID, include=["conversation"])
    assert lead.conversation is not UNSET
    assert lead.conversation is not None
    assert lead.conversation.id == sent.conversation_id


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"template_id": TEMPLATE_ID}, "lembrete_proposta"),
        ({"template_id": TEMPLATE_ID, "variables": ["João", "30/07"]}, "lembrete_proposta"),
        (
            {"template_id": MEDIA_TEMPLATE_ID, "header_media_url": "https://example.com/a.png"},
            "catalogo",
        ),
    ],
)
async def test_a_template_is_sent(account: Account, arguments: dict[str, Any], name: str) -> None:
    sent = await account.leads.send_template(ORDINARY_LEAD_ID, **arguments)
    assert account.line == ("POST", f"/leads/{ORDINARY_LEAD_ID}/send-whatsapp-template")
    assert sent.template_name == name
