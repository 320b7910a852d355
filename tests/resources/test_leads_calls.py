"""What each of the fourteen calls asks, and what it makes of the reference's answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncro_async.models.lead import (
    Enrollment,
    Lead,
    PipelineReference,
    SentMessage,
    StageReference,
    UpsertResult,
)
from syncro_async.resources.leads import Leads
from syncro_async.transport.json_codec import NotSuccessfulError
from tests.recording import Recorder

MOVED = b'{"success": true, "lead_id": 123}'
SHORT = b'{"success": true, "lead": {"id": 123, "name": "Jo\xc3\xa3o Silva", "stage_id": 5}}'
ALL_FIELDS: dict[str, Any] = {
    "name": "João Silva",
    "pipeline_id": 1,
    "stage_id": 5,
    "phone": "+5511999887766",
    "email": "joao@example.com",
    "value": 5000,
    "source": "site",
    "tags": ["vip"],
    "notes": "Anotações",
    "utm_source": "google",
    "utm_medium": "cpc",
    "utm_campaign": "verao_2026",
    "utm_term": "crm",
    "utm_content": "a",
    "assigned_to": 12,
    "custom_fields": {"tamanho_empresa": "100+", "desde": "2026-01-01", "ativo": True},
}


def asked(recorder: Recorder) -> tuple[str, str, str, Any]:
    return recorder.call.method, recorder.call.path, recorder.call.query, recorder.body


class TestList:
    def test_asks_for_the_first_page_of_200_and_no_filter_by_default(self) -> None:
        recorder = Recorder()
        pages: object = recorder.leads.list()
        listed = recorder.listed
        assert pages is recorder
        assert (listed.path, listed.query, listed.item) == ("/leads", {}, Lead)
        assert (listed.page_size, listed.start_page, listed.max_items) == (200, 1, None)

    def test_hands_on_every_filter(self) -> None:
        recorder = Recorder()
        recorder.leads.list(
            pipeline_id=1,
            stage_id=5,
            assigned_to=12,
            source="site",
            status="open",
            tags=["vip", "a b"],
            q="João",
            updated_since=datetime(2026, 6, 30, 7, tzinfo=timezone(timedelta(hours=-3))),
            created_from=date(2026, 1, 1),
            created_to=datetime(2026, 2, 1, microsecond=5, tzinfo=UTC),
            include=["owner", "tasks"],
            page_size=50,
            start_page=3,
            max_items=7,
        )
        listed = recorder.listed
        assert listed.query == {
            "pipeline_id": 1,
            "stage_id": 5,
            "assigned_to": 12,
            "source": "site",
            "status": "open",
            "tags": ["vip", "a b"],
            "q": "João",
            "updated_since": "2026-06-30T10:00:00Z",
            "created_from": "2026-01-01",
            "created_to": "2026-02-01T00:00:00.000005Z",
            "include": "owner,tasks",
        }
        assert (listed.page_size, listed.start_page, listed.max_items) == (50, 3, 7)

    def test_takes_one_tag_as_a_plain_str(self) -> None:
        recorder = Recorder()
        recorder.leads.list(tags="vip, not two")
        assert recorder.listed.query == {"tags": ["vip, not two"]}

    @pytest.mark.parametrize(
        "include",
        [
            "owner,novo",
            " owner , novo,",
            ["owner", "novo"],
            ("owner,novo",),
            iter(["owner,", "novo"]),
        ],
    )
    def test_joins_relations_by_commas_and_sends_unknown_ones(self, include: Any) -> None:
        recorder = Recorder()
        recorder.leads.list(include=include)
        assert recorder.listed.query == {"include": "owner,novo"}

    @pytest.mark.parametrize("include", [None, (), "", ","])
    def test_sends_no_include_when_none_is_named(self, include: Any) -> None:
        recorder = Recorder()
        recorder.leads.list(include=include)
        assert recorder.listed.query == {}


class TestGet:
    async def test_returns_the_lead(self) -> None:
        recorder = Recorder(SHORT)
        assert await recorder.leads.get(123) == Lead(id=123, name="João Silva", stage_id=5)
        assert asked(recorder) == ("GET", "/leads/123", "", None)

    @pytest.mark.parametrize("include", [["owner", "events", "siblings"], "owner,events,siblings"])
    async def test_may_ask_for_every_relation(self, include: Any) -> None:
        recorder = Recorder(SHORT)
        await recorder.leads.get(123, include=include)
        assert recorder.call.query == "include=owner%2Cevents%2Csiblings"

    async def test_refuses_an_answer_without_a_lead(self) -> None:
        with pytest.raises(msgspec.ValidationError, match="lead"):
            await Recorder(MOVED).leads.get(123)


class TestCreate:
    async def test_returns_the_lead_with_the_fields_the_server_shows(self) -> None:
        recorder = Recorder(
            b'{"success": true, "lead": {"id": 123, "name": "Jo\xc3\xa3o Silva", "pipeline_id": 1,'
            b' "stage_id": 5, "stage": {"id": 5, "name": "Proposta"}, "pipeline": {"id": 1,'
            b' "name": "Vendas"}, "created_at": "2026-06-30T10:00:00Z",'
            b' "custom_fields": {"tamanho_empresa": "100+"}}}'
        )
        lead = await recorder.leads.create(name="João Silva", pipeline_id=1, stage_id=5)
        assert lead == Lead(
            id=123,
            name="João Silva",
            pipeline_id=1,
            stage_id=5,
            stage=StageReference(id=5, name="Proposta"),
            pipeline=PipelineReference(id=1, name="Vendas"),
            created_at=datetime(2026, 6, 30, 10, tzinfo=UTC),
            custom_fields={"tamanho_empresa": "100+"},
        )
        expected = {"name": "João Silva", "pipeline_id": 1, "stage_id": 5}
        assert asked(recorder) == ("POST", "/leads", "", expected)

    async def test_sends_every_field(self) -> None:
        recorder = Recorder(SHORT)
        await recorder.leads.create(**ALL_FIELDS)
        assert recorder.body == ALL_FIELDS

    async def test_takes_any_mapping_and_any_iterable(self) -> None:
        recorder = Recorder(SHORT)
        await recorder.leads.create(
            name="Ana",
            pipeline_id=1,
            stage_id=5,
            tags=(tag for tag in ("vip", "novo")),
            custom_fields=MappingProxyType({"desde": date(2026, 1, 1), "cores": ("a", "b")}),
        )
        assert recorder.body["tags"] == ["vip", "novo"]
        assert recorder.body["custom_fields"] == {"desde": "2026-01-01", "cores": ["a", "b"]}


class TestUpsert:
    @pytest.mark.parametrize("created", [True, False])
    async def test_says_whether_the_lead_is_new(self, created: bool) -> None:  # noqa: FBT001
        word = str(created).lower().encode()
        recorder = Recorder(SHORT.replace(b"true,", b'true, "created": ' + word + b",", 1))
        result = await recorder.leads.upsert(email="joao@example.com", match_by="email")
        assert result == UpsertResult(created, Lead(id=123, name="João Silva", stage_id=5))
        expected = {"email": "joao@example.com", "match_by": "email"}
        assert asked(recorder) == ("POST", "/leads/upsert", "", expected)

    async def test_sends_every_field_and_matches_by_either_key_by_default(self) -> None:
        recorder = Recorder(SHORT.replace(b"true,", b'true, "created": true,', 1))
        await recorder.leads.upsert(**ALL_FIELDS)
        assert recorder.body == {**ALL_FIELDS, "match_by": "email_or_phone"}

    @pytest.mark.parametrize(
        "fields", [{"phone": "+5511"}, {"email": "a@b"}, {"phone": "+5511", "match_by": "phone"}]
    )
    async def test_needs_one_key_only(self, fields: Any) -> None:
        recorder = Recorder(SHORT.replace(b"true,", b'true, "created": true,', 1))
        await recorder.leads.upsert(**fields)
        assert recorder.body == {"match_by": "email_or_phone", **fields}


WRITES: list[tuple[Callable[[Leads], Awaitable[object]], str, str, object]] = [
    (
        lambda leads: leads.move(123, stage_id=7, pipeline_id=1),
        "PUT",
        "/leads/123/stage",
        {"stage_id": 7, "pipeline_id": 1},
    ),
    (lambda leads: leads.mark_won(123, stage_id=10), "PUT", "/leads/123/won", {"stage_id": 10}),
    (
        lambda leads: leads.mark_won(123, stage_id=10, value=7500),
        "PUT",
        "/leads/123/won",
        {"stage_id": 10, "value": 7500},
    ),
    (lambda leads: leads.mark_lost(123, stage_id=11), "PUT", "/leads/123/lost", {"stage_id": 11}),
    (
        lambda leads: leads.mark_lost(123, stage_id=11, reason_id=3),
        "PUT",
        "/leads/123/lost",
        {"stage_id": 11, "reason_id": 3},
    ),
    (lambda leads: leads.delete(123), "DELETE", "/leads/123", None),
]


@pytest.mark.parametrize(("write", "method", "path", "body"), WRITES)
async def test_a_write_without_a_result_returns_nothing(
    write: Callable[[Leads], Awaitable[object]], method: str, path: str, body: object
) -> None:
    recorder = Recorder(MOVED)
    assert await write(recorder.leads) is None
    assert asked(recorder) == (method, path, "", body)


async def test_a_value_of_zero_is_sent() -> None:
    recorder = Recorder(MOVED)
    await recorder.leads.mark_won(123, stage_id=10, value=0.0)
    assert recorder.body == {"stage_id": 10, "value": 0.0}


class TestTags:
    @pytest.mark.parametrize("tags", [["vip", "enterprise"], ("vip", "enterprise")])
    async def test_adding_returns_all_tags(self, tags: Any) -> None:
        recorder = Recorder(b'{"success": true, "lead_id": 123, "tags": ["vip", "enterprise"]}')
        assert await recorder.leads.add_tags(123, tags) == ["vip", "enterprise"]
        expected = {"tags": ["vip", "enterprise"]}
        assert asked(recorder) == ("POST", "/leads/123/tags", "", expected)

    async def test_a_plain_str_is_one_tag(self) -> None:
        recorder = Recorder(b'{"success": true, "lead_id": 123, "tags": ["vip"]}')
        await recorder.leads.add_tags(123, "vip")
        assert recorder.body == {"tags": ["vip"]}

    async def test_removing_returns_those_that_are_left(self) -> None:
        recorder = Recorder(b'{"success": true, "lead_id": 123, "tags": ["enterprise"]}')
        assert await recorder.leads.remove_tag(123, "vip") == ["enterprise"]
        assert asked(recorder) == ("DELETE", "/leads/123/tags/vip", "", None)

    async def test_removing_the_last_one_returns_none_of_them(self) -> None:
        recorder = Recorder(b'{"success": true, "lead_id": 123, "tags": []}')
        assert await recorder.leads.remove_tag(123, "vip") == []

    @given(st.text())
    @example(".\\")
    @example(" ../ ")
    async def test_no_tag_leaves_its_place_in_the_path(self, tag: str) -> None:
        recorder = Recorder(b'{"tags": []}')
        if not tag.strip() or {".", ".."} & {step.strip() for step in re.split(r"[/\\]", tag)}:
            with pytest.raises(ValueError, match="tag"):
                await recorder.leads.remove_tag(123, tag)
            return
        await recorder.leads.remove_tag(123, tag)
        place = recorder.call.path.removeprefix("/leads/123/tags/")
        assert not set(place) & set("/?#\\ ")
        assert unquote(place) == tag


class TestSequences:
    async def test_enrolling_returns_when_the_next_step_comes(self) -> None:
        recorder = Recorder(
            b'{"success": true, "lead_id": 123, "sequence_id": 1, "lead_sequence_id": 45,'
            b' "status": "active", "next_step_at": "2026-07-01T10:00:00Z"}'
        )
        enrollment = await recorder.leads.enroll(123, sequence_id=1)
        at = datetime(2026, 7, 1, 10, tzinfo=UTC)
        assert enrollment == Enrollment(123, 1, "active", lead_sequence_id=45, next_step_at=at)
        expected = {"sequence_id": 1}
        assert asked(recorder) == ("POST", "/leads/123/enroll-sequence", "", expected)

    async def test_leaving_returns_how_it_ended(self) -> None:
        recorder = Recorder(
            b'{"success": true, "lead_id": 123, "sequence_id": 1, "status": "exited_manual"}'
        )
        enrollment = await recorder.leads.unenroll(123, sequence_id=1)
        assert enrollment == Enrollment(123, 1, "exited_manual")
        assert asked(recorder) == ("DELETE", "/leads/123/enroll-sequence/1", "", None)


class TestWhatsApp:
    SENT = (
        b'{"success": true, "conversation_id": 99, "message_id": 456,'
        b' "provider_msg_id": "wamid.xyz123"}'
    )

    async def test_a_body_goes_as_text(self) -> None:
        recorder = Recorder(self.SENT)
        message = await recorder.leads.send_whatsapp(123, body="Olá! Tudo bem?", instance_id=1)
        assert message == SentMessage(99, 456, "wamid.xyz123")
        expected = {"type": "text", "body": "Olá! Tudo bem?", "instance_id": 1}
        assert asked(recorder) == ("POST", "/leads/123/send-whatsapp", "", expected)

    @pytest.mark.parametrize(
        "given_too", [{}, {"caption": "Proposta"}, {"body": "Olá", "caption": "Proposta"}]
    )
    async def test_a_media_url_goes_as_an_image(self, given_too: dict[str, str]) -> None:
        recorder = Recorder(self.SENT)
        await recorder.leads.send_whatsapp(123, media_url="https://example.com/a.png", **given_too)  # type: ignore[arg-type]
        expected = {"type": "image", "media_url": "https://example.com/a.png", **given_too}
        assert recorder.body == expected

    async def test_a_template_goes_with_its_variablesin_order(self) -> None:
        recorder = Recorder(
            b'{"success": true, "conversation_id": 99, "message_id": 457,'
            b' "provider_msg_id": "wamid.xyz456", "template_name": "lembrete_proposta"}'
        )
        message = await recorder.leads.send_template(
            123,
            template_id=1,
            variables=["João", "Proposta", "30/07"],
            header_media_url="https://example.com/a.png",
            instance_id=2,
        )
        assert message == SentMessage(99, 457, "wamid.xyz456", "lembrete_proposta")
        expected = {
            "template_id": 1,
            "variables": ["João", "Proposta", "30/07"],
            "header_media_url": "https://example.com/a.png",
            "instance_id": 2,
        }
        assert asked(recorder) == ("POST", "/leads/123/send-whatsapp-template", "", expected)

    async def test_a_template_without_variables_sends_none(self) -> None:
        recorder = Recorder(self.SENT)
        await recorder.leads.send_template(123, template_id=1)
        assert recorder.body == {"template_id": 1}

    async def test_a_message_without_the_provider_s_id_is_still_sent(self) -> None:
        recorder = Recorder(
            b'{"conversation_id": "99", "message_id": 456, "provider_msg_id": null}'
        )
        assert await recorder.leads.send_whatsapp(1, body="Olá") == SentMessage(99, 456)


CALLS: dict[str, Callable[[Leads], Awaitable[object]]] = {
    "get": lambda leads: leads.get(1),
    "create": lambda leads: leads.create(name="Ana", pipeline_id=1, stage_id=5),
    "upsert": lambda leads: leads.upsert(phone="+5511"),
    "move": lambda leads: leads.move(1, stage_id=5, pipeline_id=1),
    "mark_won": lambda leads: leads.mark_won(1, stage_id=5),
    "mark_lost": lambda leads: leads.mark_lost(1, stage_id=5),
    "delete": lambda leads: leads.delete(1),
    "add_tags": lambda leads: leads.add_tags(1, ["vip"]),
    "remove_tag": lambda leads: leads.remove_tag(1, "vip"),
    "enroll": lambda leads: leads.enroll(1, sequence_id=1),
    "unenroll": lambda leads: leads.unenroll(1, sequence_id=1),
    "send_whatsapp": lambda leads: leads.send_whatsapp(1, body="Olá"),
    "send_template": lambda leads: leads.send_template(1, template_id=1),
}


@pytest.mark.parametrize("name", CALLS)
async def test_an_answer_that_says_it_failed_is_no_result(name: str) -> None:
    recorder = Recorder(b'{"success": false, "message": "N\xc3\xa3o."}')
    with pytest.raises(NotSuccessfulError):
        await CALLS[name](recorder.leads)


@pytest.mark.parametrize("name", CALLS)
async def test_only_calls_whose_repetition_changes_nothing_may_be_sent_again(name: str) -> None:
    recorder = Recorder(b'{"success": false}')
    with pytest.raises(NotSuccessfulError):
        await CALLS[name](recorder.leads)
    never_twice = {"create", "enroll", "send_whatsapp", "send_template"}
    assert recorder.call.idempotent == (name not in never_twice)
    assert recorder.call.not_found_is_success == (name == "delete")
