"""What the calls about everything but leads ask, and what they make of the answers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time
from typing import Any

import msgspec
import pytest

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
    Webhooks,
    WhatsAppInstance,
    WhatsAppTemplate,
)
from syncro_async.transport.json_codec import NotSuccessfulError
from tests.recording import Recorder

NEW_TASK: dict[str, Any] = {"subject": "Ligar", "type": "call", "due_date": date(2026, 7, 1)}
NEW_WEBHOOK: dict[str, Any] = {"target_url": "https://example.com/in", "events": "lead.won"}
SENT_TASK = {"subject": "Ligar", "type": "call", "due_date": "2026-07-01"}


def asked(recorder: Recorder) -> tuple[str, str, str, Any]:
    return recorder.call.method, recorder.call.path, recorder.call.query, recorder.body


class TestTasks:
    def test_a_list_asks_for_the_first_page_of_200_and_no_filter_by_default(self) -> None:
        recorder = Recorder()
        pages: object = recorder.tasks.list()
        listed = recorder.listed
        assert pages is recorder
        assert (listed.path, listed.query, listed.item) == ("/tasks", {}, Task)
        assert (listed.page_size, listed.start_page, listed.max_items) == (200, 1, None)

    def test_a_list_hands_on_every_filter(self) -> None:
        recorder = Recorder()
        recorder.tasks.list(
            lead_id=123,
            assigned_to=12,
            status="pending",
            type="call",
            priority="high",
            due_from=date(2026, 7, 1),
            due_to=date(2026, 7, 31),
            page_size=50,
            start_page=3,
            max_items=7,
        )
        listed = recorder.listed
        assert listed.query == {
            "lead_id": 123,
            "assigned_to": 12,
            "status": "pending",
            "type": "call",
            "priority": "high",
            "due_from": "2026-07-01",
            "due_to": "2026-07-31",
        }
        assert (listed.page_size, listed.start_page, listed.max_items) == (50, 3, 7)

    def test_a_word_that_is_new_to_us_may_be_asked_for(self) -> None:
        recorder = Recorder()
        recorder.tasks.list(type="sms", priority="urgent", status="late")
        assert recorder.listed.query == {"type": "sms", "priority": "urgent", "status": "late"}

    @pytest.mark.parametrize(
        "answer",
        [
            b'{"success": true, "task": {"id": 45, "type": "call"}}',
            b'{"success": true, "data": {"id": 45, "type": "call"}}',
            b'{"success": true, "id": 45, "type": "call"}',
        ],
    )
    async def test_creating_returns_the_task_wherever_the_answer_holds_it(
        self, answer: bytes
    ) -> None:
        recorder = Recorder(answer)
        assert await recorder.tasks.create(**NEW_TASK) == Task(id=45, type="call")
        assert asked(recorder) == ("POST", "/tasks", "", SENT_TASK)

    async def test_creating_refuses_an_answer_without_a_task(self) -> None:
        with pytest.raises(msgspec.ValidationError, match="id"):
            await Recorder().tasks.create(**NEW_TASK)

    @pytest.mark.parametrize("at", ["14:30", time(14, 30), time(14, 30, fold=1)])
    async def test_creating_sends_every_field(self, at: time | str) -> None:
        recorder = Recorder(b'{"task": {"id": 45}}')
        others: dict[str, Any] = {
            "description": "Confirmar",
            "priority": "high",
            "lead_id": 123,
            "assigned_to": 12,
            "notes": "",
        }
        await recorder.tasks.create(**NEW_TASK, **others, due_time=at)
        assert recorder.body == SENT_TASK | others | {"due_time": "14:30"}

    async def test_midnight_is_a_time(self) -> None:
        recorder = Recorder(b'{"task": {"id": 45}}')
        await recorder.tasks.create(**NEW_TASK, due_time=time(0, 0))
        assert recorder.body["due_time"] == "00:00"


class TestPipelines:
    async def test_come_with_stages_and_lost_reasons(self) -> None:
        recorder = Recorder(
            b'{"success": true, "pipelines": [{"id": 1, "name": "Vendas", "stages": [{"id": 5,'
            b' "name": "Proposta", "color": "#fff", "is_won": false, "is_lost": false}]}],'
            b' "lost_reasons": [{"id": 3, "name": "Concorrente"}]}'
        )
        stage = Stage(id=5, name="Proposta", color="#fff", is_won=False, is_lost=False)
        assert await recorder.pipelines.list() == Pipelines(
            [Pipeline(id=1, name="Vendas", stages=[stage])], [LostReason(id=3, name="Concorrente")]
        )
        assert asked(recorder) == ("GET", "/pipelines", "", None)

    async def test_may_lack_stages_and_reasons(self) -> None:
        recorder = Recorder(b'{"pipelines": [{"id": 1, "stages": null}, {"id": 2}]}')
        assert await recorder.pipelines.list() == Pipelines([Pipeline(id=1), Pipeline(id=2)], [])

    async def test_one_bad_stage_costs_neither_its_pipeline_nor_the_others(self) -> None:
        recorder = Recorder(
            b'{"pipelines": [{"id": 1, "stages": [{"id": 4}, {"name": "?"}, {"id": 5}]},'
            b' {"id": "first"}, {"id": 2}], "lost_reasons": [7, {"id": 3}]}'
        )
        assert await recorder.pipelines.list() == Pipelines(
            [Pipeline(id=1, stages=[Stage(id=4), Stage(id=5)]), Pipeline(id=2)],
            [LostReason(id=3)],
        )
        assert [(bad.path, bad.index) for bad in recorder.told] == [
            ("/pipelines", 1),
            ("/pipelines", 1),
            ("/pipelines", 0),
        ]


WHOLE_LISTS: dict[str, tuple[Callable[[Recorder], Awaitable[Any]], str, Any]] = {
    "users": (lambda at: at.users.list(), "/users", User(id=1)),
    "custom fields": (lambda at: at.custom_fields.list(), "/custom-fields", CustomField(id=1)),
    "instances": (
        lambda at: at.whatsapp.instances(),
        "/whatsapp/instances",
        WhatsAppInstance(id=1),
    ),
    "templates": (
        lambda at: at.whatsapp.templates(),
        "/whatsapp/templates",
        WhatsAppTemplate(id=1),
    ),
}


@pytest.mark.parametrize("name", WHOLE_LISTS)
class TestWholeLists:
    async def test_are_one_get_without_filters(self, name: str) -> None:
        call, path, item = WHOLE_LISTS[name]
        recorder = Recorder(b'{"success": true, "data": [{"id": 1}]}')
        assert await call(recorder) == [item]
        assert asked(recorder) == ("GET", path, "", None)
        assert recorder.call.idempotent

    async def test_may_be_empty(self, name: str) -> None:
        assert await WHOLE_LISTS[name][0](Recorder(b'{"success": true, "data": []}')) == []

    async def test_leave_out_what_cannot_be_read_and_tell_it(self, name: str) -> None:
        call, path, item = WHOLE_LISTS[name]
        recorder = Recorder(b'{"data": [{"id": 1}, {"id": "x"}, {"id": "1"}, null]}')
        assert await call(recorder) == [item, item]
        assert [(bad.path, bad.index) for bad in recorder.told] == [(path, 1), (path, 3)]
        assert all(bad.reason for bad in recorder.told)

    async def test_are_refused_without_their_data(self, name: str) -> None:
        with pytest.raises(msgspec.ValidationError, match="data"):
            await WHOLE_LISTS[name][0](Recorder(b'{"success": true, "users": []}'))


@pytest.mark.parametrize(("active_only", "query"), [(True, "active_only=1"), (False, "")])
async def test_custom_fields_may_be_those_in_use(active_only: bool, query: str) -> None:  # noqa: FBT001
    recorder = Recorder(b'{"data": []}')
    await recorder.custom_fields.list(active_only=active_only)
    assert recorder.call.query == query


async def test_templates_are_filtered_and_keep_what_the_reference_does_not_name() -> None:
    recorder = Recorder(
        b'{"data": [{"id": 1, "name": "lembrete", "body": "Oi {{1}}", "buttons": [{"x": 1}]}]}'
    )
    (template,) = await recorder.whatsapp.templates(
        instance_id=2, status="APPROVED", language="pt_BR"
    )
    more = {"body": "Oi {{1}}", "buttons": [{"x": 1}]}
    assert template == WhatsAppTemplate(id=1, name="lembrete", more=more)
    assert recorder.call.query == "instance_id=2&status=APPROVED&language=pt_BR"


async def test_the_account_is_that_of_the_key() -> None:
    recorder = Recorder(b'{"success": true, "account": {"id": 7, "name": "ACME", "plan": "pro"}}')
    assert await recorder.account.get() == Account(id=7, name="ACME", plan="pro")
    assert asked(recorder) == ("GET", "/account", "", None)


class TestWebhooks:
    async def test_a_list_tells_the_events_there_are(self) -> None:
        recorder = Recorder(
            b'{"success": true, "data": [{"id": 1}, {"id": []}], "supported_events": ["lead.won"]}'
        )
        assert await recorder.webhooks.list() == Webhooks([Webhook(id=1)], ["lead.won"])
        assert asked(recorder) == ("GET", "/webhooks", "", None)
        assert [(bad.path, bad.index) for bad in recorder.told] == [("/webhooks", 1)]

    async def test_a_list_may_lack_the_events(self) -> None:
        assert await Recorder(b'{"data": []}').webhooks.list() == Webhooks([], [])

    async def test_creating_returns_the_secret(self) -> None:
        recorder = Recorder(b'{"success": true, "id": 3, "secret": "made", "events": ["lead.won"]}')
        made = NewWebhook(id=3, secret="made", events=["lead.won"])
        assert await recorder.webhooks.create(**NEW_WEBHOOK) == made
        sent = {"target_url": "https://example.com/in", "events": ["lead.won"]}
        assert asked(recorder) == ("POST", "/webhooks", "", sent)

    async def test_creating_sends_every_field_and_shows_no_secret(self) -> None:
        recorder = Recorder(b'{"id": 3, "secret": "kept", "events": ["lead.won", "new.event"]}')
        made = await recorder.webhooks.create(
            target_url="http://10.0.0.1:8080/in?x=1",
            events=("lead.won", "new.event"),
            source="n8n",
            secret="kept",
        )
        assert made.secret == "kept"
        assert recorder.body == {
            "target_url": "http://10.0.0.1:8080/in?x=1",
            "events": ["lead.won", "new.event"],
            "source": "n8n",
            "secret": "kept",
        }
        assert "kept" not in repr(made) + repr(recorder.call)

    async def test_one_is_fetched_by_its_id(self) -> None:
        recorder = Recorder(b'{"success": true, "id": 3, "is_active": false}')
        assert await recorder.webhooks.get(3) == Webhook(id=3, is_active=False)
        assert asked(recorder) == ("GET", "/webhooks/3", "", None)

    @pytest.mark.parametrize(
        ("changes", "sent"),
        [
            ({"is_active": False}, {"is_active": False}),
            ({"events": "lead.won"}, {"events": ["lead.won"]}),
            (
                {"target_url": "https://example.com/b", "events": ["lead.won"], "is_active": True},
                {"target_url": "https://example.com/b", "events": ["lead.won"], "is_active": True},
            ),
        ],
    )
    async def test_an_update_sends_what_changes(
        self, changes: dict[str, Any], sent: dict[str, Any]
    ) -> None:
        recorder = Recorder()
        await recorder.webhooks.update(3, **changes)
        assert asked(recorder) == ("PUT", "/webhooks/3", "", sent)

    @pytest.mark.parametrize("answer", [b'{"success": true}', b""])
    async def test_one_is_deleted(self, answer: bytes) -> None:
        recorder = Recorder(answer)
        await recorder.webhooks.delete(3)
        assert asked(recorder) == ("DELETE", "/webhooks/3", "", None)


CALLS: dict[str, Callable[[Recorder], Awaitable[object]]] = {
    "tasks.create": lambda at: at.tasks.create(**NEW_TASK),
    "pipelines.list": lambda at: at.pipelines.list(),
    "custom_fields.list": lambda at: at.custom_fields.list(),
    "whatsapp.instances": lambda at: at.whatsapp.instances(),
    "whatsapp.templates": lambda at: at.whatsapp.templates(),
    "account.get": lambda at: at.account.get(),
    "users.list": lambda at: at.users.list(),
    "webhooks.list": lambda at: at.webhooks.list(),
    "webhooks.create": lambda at: at.webhooks.create(**NEW_WEBHOOK),
    "webhooks.get": lambda at: at.webhooks.get(1),
    "webhooks.update": lambda at: at.webhooks.update(1, is_active=True),
    "webhooks.delete": lambda at: at.webhooks.delete(1),
}


@pytest.mark.parametrize("name", CALLS)
async def test_an_answer_that_says_it_failed_is_no_result(name: str) -> None:
    recorder = Recorder(b'{"success": false, "message": "N\xc3\xa3o."}')
    with pytest.raises(NotSuccessfulError):
        await CALLS[name](recorder)
    assert recorder.call.idempotent == (name not in {"tasks.create", "webhooks.create"})
    assert recorder.call.not_found_is_success == (name == "webhooks.delete")


async def refuses(asked: Callable[[Recorder], Any], name: str) -> str:
    recorder = Recorder()
    with pytest.raises(ValueError, match=f"^{name}[ =\\[,]") as refusal:  # noqa: PT012
        answer = asked(recorder)
        if inspect.isawaitable(answer):
            await answer
    assert recorder.silent
    return str(refusal.value)


AWARE = datetime(2026, 7, 1, 10, tzinfo=UTC)
FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"page_size": 201}, "page_size"),
    ({"page_size": 0}, "page_size"),
    ({"start_page": 0}, "start_page"),
    ({"max_items": -1}, "max_items"),
    ({"lead_id": "1"}, "lead_id"),
    ({"assigned_to": True}, "assigned_to"),
    ({"status": 1}, "status"),
    ({"type": ""}, "type"),
    ({"type": ["call"]}, "type"),
    ({"priority": 3}, "priority"),
    ({"due_from": AWARE}, "due_from"),
    ({"due_from": "2026-07-01"}, "due_from"),
    ({"due_to": AWARE}, "due_to"),
    ({"due_to": 20260701}, "due_to"),
]


@pytest.mark.parametrize(("filters", "name"), FILTERS, ids=repr)
async def test_a_list_of_tasks_refuses_what_the_reference_rules_out(
    filters: dict[str, Any], name: str
) -> None:
    await refuses(lambda at: at.tasks.list(**filters), name)


FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"subject": None}, "subject"),
    ({"subject": " "}, "subject"),
    ({"subject": 5}, "subject"),
    ({"type": None}, "type"),
    ({"type": ""}, "type"),
    ({"due_date": None}, "due_date"),
    ({"due_date": "2026-07-01"}, "due_date"),
    ({"due_date": AWARE}, "due_date"),
    ({"description": 5}, "description"),
    ({"notes": ["a"]}, "notes"),
    ({"priority": " "}, "priority"),
    ({"due_time": "24:00"}, "due_time"),
    ({"due_time": "9:30"}, "due_time"),
    ({"due_time": "14:30:00"}, "due_time"),
    ({"due_time": "14:30\n"}, "due_time"),
    ({"due_time": "١٤:٣٠"}, "due_time"),
    ({"due_time": time(14, 30, 15)}, "due_time"),
    ({"due_time": time(14, 30, microsecond=1)}, "due_time"),
    ({"due_time": time(14, 30, tzinfo=UTC)}, "due_time"),
    ({"due_time": 1430}, "due_time"),
    ({"lead_id": 1.0}, "lead_id"),
    ({"assigned_to": "12"}, "assigned_to"),
]


@pytest.mark.parametrize(("fields", "name"), FIELDS, ids=repr)
async def test_a_new_task_refuses_what_the_reference_rules_out(
    fields: dict[str, Any], name: str
) -> None:
    await refuses(lambda at: at.tasks.create(**(NEW_TASK | fields)), name)


SUBSCRIPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"target_url": "example.com/in"}, "target_url"),
    ({"target_url": "ftp://example.com/in"}, "target_url"),
    ({"target_url": "https://"}, "target_url"),
    ({"target_url": "https://[::1"}, "target_url"),
    ({"target_url": ""}, "target_url"),
    ({"target_url": 5}, "target_url"),
    ({"events": []}, "events"),
    ({"events": ()}, "events"),
    ({"events": ""}, "events"),
    ({"events": ["lead.won", 5]}, "events"),
    ({"events": 5}, "events"),
]


@pytest.mark.parametrize(("fields", "name"), SUBSCRIPTIONS, ids=repr)
async def test_a_subscription_refuses_what_the_reference_rules_out(
    fields: dict[str, Any], name: str
) -> None:
    await refuses(lambda at: at.webhooks.create(**(NEW_WEBHOOK | fields)), name)
    await refuses(lambda at: at.webhooks.update(1, **fields), name)


@pytest.mark.parametrize("secret", ["", " ", b"whsec_123", ["whsec_123"], 123])
async def test_a_secret_that_cannot_be_one_is_refused_and_not_shown(secret: Any) -> None:
    said = await refuses(lambda at: at.webhooks.create(**NEW_WEBHOOK, secret=secret), "secret")
    assert "123" not in said


OTHERS: list[tuple[Callable[[Recorder], Any], str]] = [
    (lambda at: at.webhooks.create(target_url=None, events="lead.won"), "target_url"),  # type: ignore[arg-type]
    (lambda at: at.webhooks.create(target_url="https://a.b", events=None), "events"),  # type: ignore[arg-type]
    (lambda at: at.webhooks.create(**NEW_WEBHOOK, source=" "), "source"),
    (lambda at: at.webhooks.update(1), "target_url"),
    (lambda at: at.webhooks.update(1, is_active="no"), "is_active"),  # type: ignore[arg-type]
    (lambda at: at.webhooks.update("..", is_active=True), "id"),  # type: ignore[arg-type]
    (lambda at: at.webhooks.get(None), "id"),  # type: ignore[arg-type]
    (lambda at: at.webhooks.get(""), "id"),  # type: ignore[arg-type]
    (lambda at: at.webhooks.delete(1.0), "id"),  # type: ignore[arg-type]
    (lambda at: at.webhooks.delete("."), "id"),  # type: ignore[arg-type]
    (lambda at: at.custom_fields.list(active_only=1), "active_only"),  # type: ignore[arg-type]
    (lambda at: at.custom_fields.list(active_only=None), "active_only"),  # type: ignore[arg-type]
    (lambda at: at.whatsapp.templates(instance_id="1"), "instance_id"),  # type: ignore[arg-type]
    (lambda at: at.whatsapp.templates(status=" "), "status"),
    (lambda at: at.whatsapp.templates(language=5), "language"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "name"), OTHERS)
async def test_every_other_call_refuses_what_the_reference_rules_out(
    call: Callable[[Recorder], Any], name: str
) -> None:
    await refuses(call, name)


def test_after_the_id_every_argument_goes_by_keyword() -> None:
    recorder = Recorder()
    resources = (
        *(recorder.tasks, recorder.pipelines, recorder.custom_fields, recorder.whatsapp),
        *(recorder.account, recorder.users, recorder.webhooks),
    )
    positional = {
        f"{type(resource).__name__}.{name}": [
            parameter.name
            for parameter in inspect.signature(call).parameters.values()
            if parameter.kind is not parameter.KEYWORD_ONLY
        ]
        for resource in resources
        for name, call in vars(type(resource)).items()
        if inspect.isfunction(call) and not name.startswith("_")
    }
    assert len(positional) == 15
    assert positional.pop("Pipelines.find") == ["self", "name"]
    assert positional.pop("Pipelines.stage") == ["self", "pipeline", "name"]
    with_id = {"Webhooks.get", "Webhooks.update", "Webhooks.delete"}
    assert {name for name, parameters in positional.items() if parameters != ["self"]} == with_id
    assert all(positional[name] == ["self", "id"] for name in with_id)
