"""What of the JSON of tasks, pipelines, fields, users and webhooks becomes what of their models."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from rich.console import Console

from syncro_async import (
    Account,
    CustomField,
    LostReason,
    NewWebhook,
    Pipeline,
    Pipelines,
    Stage,
    Task,
    User,
    Webhook,
    WhatsAppInstance,
    WhatsAppTemplate,
)
from syncro_async.models.task import Assignee, TaskLead
from syncro_async.transport.json_codec import decoder_for

TEN = datetime(2026, 6, 30, 10, tzinfo=UTC)
TASK: dict[str, Any] = {
    "id": 45,
    "subject": "Ligar para o cliente",
    "description": "Confirmar a visita",
    "type": "call",
    "status": "completed",
    "priority": "high",
    "due_date": "2026-07-01",
    "due_time": "14:30",
    "completed_at": "2026-06-30T10:00:00Z",
    "lead_id": 123,
    "lead": {"id": 123, "name": "João", "phone": "+5511999887766", "email": "j@example.com"},
    "assigned_to": 12,
    "assigned_user": {"id": 12, "name": "Ana"},
    "notes": "Prefere a tarde",
    "is_overdue": False,
    "created_at": "2026-06-30T10:00:00.000000Z",
    "updated_at": "2026-06-30T07:00:00-03:00",
}
FIELD: dict[str, Any] = {
    "id": 1,
    "name": "tamanho_empresa",
    "label": "Tamanho da empresa",
    "field_type": "select",
    "options": ["1-10", "100+"],
    "is_required": True,
    "is_active": 1,
    "show_on_card": 0,
    "sort_order": "3",
}
INSTANCE: dict[str, Any] = {
    "id": 2,
    "provider": "cloud_api",
    "display_name": "Oficial",
    "phone_number": "+551140028922",
    "is_primary": False,
    "status": "connected",
    "supports_templates": True,
    "supports_buttons": True,
    "has_window_restriction": True,
}
WEBHOOK: dict[str, Any] = {
    "id": 3,
    "target_url": "https://example.com/syncro",
    "events": ["lead.created", "task.completed"],
    "source": "n8n",
    "is_active": True,
    "failure_count": 2,
    "last_success_at": "2026-06-30T10:00:00Z",
    "last_failure_at": "2026-06-30T10:00:00.000000Z",
    "last_failure_reason": "HTTP 500",
    "created_at": "2026-06-30T10:00:00Z",
}


def decoded(kind: type[Any], fields: dict[str, Any]) -> Any:
    return decoder_for(kind)(json.dumps(fields).encode())


def test_a_task_of_the_reference_is_read_whole() -> None:
    assert decoded(Task, TASK) == Task(
        id=45,
        subject="Ligar para o cliente",
        description="Confirmar a visita",
        type="call",
        status="completed",
        priority="high",
        due_date=date(2026, 7, 1),
        due_time="14:30",
        completed_at=TEN,
        lead_id=123,
        lead=TaskLead(id=123, name="João", phone="+5511999887766", email="j@example.com"),
        assigned_to=12,
        assigned_user=Assignee(id=12, name="Ana"),
        notes="Prefere a tarde",
        is_overdue=False,
        created_at=TEN,
        updated_at=TEN,
    )


@pytest.mark.parametrize(
    ("kind", "fields", "model"),
    [
        (
            CustomField,
            FIELD,
            CustomField(
                id=1,
                name="tamanho_empresa",
                label="Tamanho da empresa",
                field_type="select",
                options=["1-10", "100+"],
                is_required=True,
                is_active=True,
                show_on_card=False,
                sort_order=3,
            ),
        ),
        (
            WhatsAppInstance,
            INSTANCE,
            WhatsAppInstance(
                id=2,
                provider="cloud_api",
                display_name="Oficial",
                phone_number="+551140028922",
                is_primary=False,
                status="connected",
                supports_templates=True,
                supports_buttons=True,
                has_window_restriction=True,
            ),
        ),
        (
            Webhook,
            WEBHOOK,
            Webhook(
                id=3,
                target_url="https://example.com/syncro",
                events=["lead.created", "task.completed"],
                source="n8n",
                is_active=True,
                failure_count=2,
                last_success_at=TEN,
                last_failure_at=TEN,
                last_failure_reason="HTTP 500",
                created_at=TEN,
            ),
        ),
        (
            User,
            {"id": 12, "name": "Ana", "email": "ana@example.com", "role": "admin"},
            User(id=12, name="Ana", email="ana@example.com", role="admin"),
        ),
        (
            Account,
            {"id": 7, "name": "ACME", "plan": "pro"},
            Account(id=7, name="ACME", plan="pro"),
        ),
        (
            Stage,
            {"id": 5, "name": "Proposta", "color": "#3b82f6", "is_won": False, "is_lost": False},
            Stage(id=5, name="Proposta", color="#3b82f6", is_won=False, is_lost=False),
        ),
    ],
    ids=["custom field", "instance", "webhook", "user", "account", "stage"],
)
def test_what_the_reference_shows_is_read_whole(
    kind: type[Any], fields: dict[str, Any], model: msgspec.Struct
) -> None:
    assert decoded(kind, fields) == model
    assert decoded(kind, {**fields, "id": str(fields["id"]), "novidade": {"x": []}}) == model


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Task, {"type": "telepathy", "status": "dreamt", "priority": "max"}),
        (User, {"role": "owner"}),
        (CustomField, {"field_type": "colour"}),
        (WhatsAppInstance, {"provider": "pigeon"}),
        (Webhook, {"source": "zapier", "events": ["lead.sung"]}),
    ],
)
def test_a_word_the_reference_does_not_list_is_taken_as_it_came(
    kind: type[Any], fields: dict[str, Any]
) -> None:
    found = decoded(kind, {"id": 1, **fields})
    assert {name: getattr(found, name) for name in fields} == fields


@pytest.mark.parametrize("plan", ["pro", 3, {"name": "pro"}, [], None])
def test_a_plan_may_be_anything(plan: object) -> None:
    assert decoded(Account, {"id": 1, "plan": plan}).plan == plan


@pytest.mark.parametrize("fields", [TASK, {"id": 1}])
def test_a_task_written_as_json_reads_back_the_same(fields: dict[str, Any]) -> None:
    task = decoded(Task, fields)
    assert decoder_for(Task)(msgspec.json.encode(task)) == task
    assert pickle.loads(pickle.dumps(task)) == task


@pytest.mark.parametrize("moment", ["created_at", "updated_at", "completed_at"])
def test_a_moment_of_a_task_has_a_time_zone(moment: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=moment):
        decoded(Task, {"id": 1, moment: "2026-06-30T10:00:00"})


MODELS = [
    Account(id=1),
    CustomField(id=1),
    LostReason(id=1),
    NewWebhook(id=1),
    Pipeline(id=1),
    Stage(id=1),
    Task(id=1),
    User(id=1),
    Webhook(id=1),
    WhatsAppInstance(id=1),
    WhatsAppTemplate(id=1),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_no_model_can_be_changed(model: Any) -> None:
    with pytest.raises(AttributeError):
        model.id = 2


class TestTheSecret:
    NEW = NewWebhook(id=3, secret="whsec_123", events=["lead.won"])  # shown below

    def test_is_there_for_who_asks(self) -> None:
        assert self.NEW.secret == "whsec_123"
        assert pickle.loads(pickle.dumps(self.NEW)) == self.NEW

    def test_is_in_no_repr(self) -> None:
        shown = "NewWebhook(id=3, secret='***', events=['lead.won'])"
        assert repr(self.NEW) == str(self.NEW) == f"{self.NEW}" == shown
        assert "whsec" not in repr([self.NEW]) + repr({"created": self.NEW})

    def test_is_not_shown_by_rich(self) -> None:
        console = Console(width=200)
        with console.capture() as capture:
            console.print(self.NEW)
        assert "'***'" in capture.get()
        assert "whsec" not in capture.get()

    def test_that_never_came_is_none(self) -> None:
        assert repr(NewWebhook(id=3)) == "NewWebhook(id=3, secret=None, events=None)"


FOUND = Pipelines(
    [
        Pipeline(
            id=1,
            name="Vendas",
            stages=[Stage(id=4, name="Novo"), Stage(id=5, name="Em negociação")],
        ),
        Pipeline(id=2, name="vendas", stages=[Stage(id=20, name="Novo")]),
        Pipeline(id=3, name="Pós-venda", stages=[Stage(id=30, name="A"), Stage(id=31, name="A")]),
        Pipeline(id=4),
    ],
    [LostReason(id=3, name="Concorrente"), LostReason(id=4, name="Preço")],
)


class TestNames:
    def test_lead_to_pipelines_stages_and_reasons(self) -> None:
        assert FOUND.find("Vendas").id == 1
        assert FOUND.find("vendas").id == 2
        assert FOUND.stage("Vendas", "Novo").id == 4
        assert FOUND.stage(FOUND.pipelines[1], "Novo").id == 20
        assert FOUND.reason("Preço").id == 4

    @pytest.mark.parametrize(
        "name", ["pós-venda", "PÓS-VENDA", "  Pós-venda ", "Po\u0301s-venda", "\uff30ós-venda"]
    )
    def test_need_not_be_spelt_exactly(self, name: str) -> None:
        assert FOUND.find(name).id == 3
        assert FOUND.stage("Vendas", "em  NEGOCIAÇÃO").id == 5

    def test_that_nothing_bears_are_an_error_with_those_there_are(self) -> None:
        with pytest.raises(LookupError) as unknown:
            FOUND.stage("Vendas", "Ganho")
        said = "no stage of 'Vendas' is called 'Ganho'; there is 'Novo', 'Em negociação'"
        assert str(unknown.value) == said
        with pytest.raises(LookupError, match="no pipeline is called 'Suporte'; there is 'Vendas'"):
            FOUND.stage("Suporte", "Novo")
        with pytest.raises(LookupError, match="no lost reason is called 'Prazo'"):
            FOUND.reason("Prazo")
        with pytest.raises(LookupError, match="there is none at all"):
            FOUND.stage(FOUND.pipelines[3], "Novo")

    @pytest.mark.parametrize("name", ["", " ", "None"])
    def test_do_not_lead_to_what_has_none(self, name: str) -> None:
        with pytest.raises(LookupError, match=r"there is 'Vendas', 'vendas', 'Pós-venda'$"):
            FOUND.find(name)

    def test_that_several_bear_are_an_error_with_their_ids(self) -> None:
        with pytest.raises(LookupError, match=r"pipeline .*'VENDAS': the ids are 1, 2"):
            FOUND.find("VENDAS")
        with pytest.raises(LookupError, match=r"more than one stage of .* 30, 31"):
            FOUND.stage("Pós-venda", "A")
