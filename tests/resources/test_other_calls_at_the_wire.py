"""The calls about everything but leads against the sandbox, plain and with the quirks of PHP."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
from msgspec import UNSET

from syncro_async import (
    Account,
    AsyncClient,
    AuthenticationError,
    LostReason,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ServerError,
    Stage,
    Task,
    UnexpectedResponseError,
    User,
    ValidationError,
)
from syncro_async.events import Event
from syncro_async.models.task import Assignee, TaskLead
from syncro_async.sandbox import (
    BLOCKED_LEAD_ID,
    EXPIRED_KEY,
    FAILING_WEBHOOK_ID,
    LEADS_ONLY_KEY,
    LOST_REASON_ID,
    MAIN_INSTANCE_ID,
    OFFICIAL_INSTANCE_ID,
    OPEN_STAGE_ID,
    ORDINARY_LEAD_ID,
    OWNER_ID,
    PIPELINE_ID,
    READ_ONLY_KEY,
    TEMPLATE_ID,
    UNAPPROVED_TEMPLATE_ID,
    WEBHOOK_ID,
    WON_STAGE_ID,
    Sandbox,
    Trouble,
)
from syncro_async.testing import FakeClock, sandbox_client


@dataclass
class World:
    clock: FakeClock
    sandbox: Sandbox
    syncro: AsyncClient

    @property
    def line(self) -> tuple[str, str]:
        """Method and path of the last request."""
        last = self.sandbox.arrivals[-1]
        return last.method, last.path

    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.sandbox.arrivals[-1].query))


@pytest.fixture(params=[False, True], ids=["plain", "php quirks"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    clock = FakeClock()
    sandbox = Sandbox(30, clock=clock, php_quirks=request.param)
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        yield World(clock, sandbox, syncro)


async def test_the_account_and_its_users(world: World) -> None:
    account = await world.syncro.account.get()
    assert account == Account(id=1, name="ACME Imóveis", plan="pro")
    assert world.line == ("GET", "/account")
    users = await world.syncro.users.list()
    assert world.line == ("GET", "/users")
    assert users[0] == User(id=OWNER_ID, name="Ana", email="ana@example.com", role="admin")
    assert {user.role for user in users} == {"admin", "manager", "viewer"}


async def test_a_lead_is_created_and_lost_by_names_alone(world: World) -> None:
    found = await world.syncro.pipelines.list()
    assert world.line == ("GET", "/pipelines")
    sales, proposal = found.find("vendas"), found.stage("Vendas", "Proposta")
    assert (sales.id, proposal.id) == (PIPELINE_ID, OPEN_STAGE_ID)
    assert found.stage(sales, "Ganho") == Stage(
        id=WON_STAGE_ID, name="Ganho", color="#22c55e", is_won=True, is_lost=False
    )
    assert found.reason("Concorrente") == LostReason(id=LOST_REASON_ID, name="Concorrente")
    lead = await world.syncro.leads.create(name="Rui", pipeline_id=sales.id, stage_id=proposal.id)
    lost = found.stage("Vendas", "Perdido")
    assert lost.is_lost
    reason = found.reason("preço")
    await world.syncro.leads.mark_lost(lead.id, stage_id=lost.id, reason_id=reason.id)
    assert world.sandbox.leads[lead.id]["stage_id"] == lost.id


async def test_pipelines_and_stages_are_found_by_their_names_with_one_request(world: World) -> None:
    assert (await world.syncro.pipelines.find("vendas")).id == PIPELINE_ID
    assert (await world.syncro.pipelines.stage("Vendas", "Proposta")).id == OPEN_STAGE_ID
    assert len(world.sandbox.arrivals) == 1
    with pytest.raises(LookupError, match="Vendas"):
        await world.syncro.pipelines.find("Compras")


@pytest.mark.parametrize("active_only", [True, False])
async def test_custom_fields_say_what_a_lead_may_hold(world: World, active_only: bool) -> None:  # noqa: FBT001
    fields = await world.syncro.custom_fields.list(active_only=active_only)
    assert world.line == ("GET", "/custom-fields")
    kinds = {field.name: field.field_type for field in fields}
    assert kinds["tamanho_empresa"] == "select"
    assert ("fax" in kinds) is not active_only
    (size,) = [field for field in fields if field.name == "tamanho_empresa"]
    assert size.options == ["1-10", "11-50", "51-100", "100+"]
    assert (size.is_active, size.show_on_card, size.sort_order) == (True, True, 1)


async def test_whatsapp_numbers_and_templates(world: World) -> None:
    instances = {one.id: one for one in await world.syncro.whatsapp.instances()}
    assert world.line == ("GET", "/whatsapp/instances")
    assert [one.id for one in instances.values() if one.is_primary] == [MAIN_INSTANCE_ID]
    official = instances[OFFICIAL_INSTANCE_ID]
    assert (official.provider, official.has_window_restriction) == ("cloud_api", True)
    everything = await world.syncro.whatsapp.templates()
    assert world.line == ("GET", "/whatsapp/templates")
    assert {one.id for one in everything} >= {TEMPLATE_ID, UNAPPROVED_TEMPLATE_ID}
    approved = await world.syncro.whatsapp.templates(
        status="APPROVED", language="pt_BR", instance_id=OFFICIAL_INSTANCE_ID
    )
    assert world.query() == {
        "status": "APPROVED",
        "language": "pt_BR",
        "instance_id": str(OFFICIAL_INSTANCE_ID),
    }
    assert UNAPPROVED_TEMPLATE_ID not in {one.id for one in approved}
    assert approved[0].name == "lembrete_proposta"
    assert await world.syncro.whatsapp.templates(language="en_US") == []


async def test_a_task_is_created_with_every_field(world: World) -> None:
    task = await world.syncro.tasks.create(
        subject="Ligar",
        type="call",
        due_date=date(2026, 7, 1),
        description="Confirmar a visita",
        priority="high",
        due_time="14:30",
        lead_id=ORDINARY_LEAD_ID,
        assigned_to=OWNER_ID,
        notes="Prefere a tarde",
    )
    assert world.line == ("POST", "/tasks")
    lead = world.sandbox.leads[ORDINARY_LEAD_ID]
    noon = datetime(2026, 6, 30, 12, tzinfo=UTC)
    assert task == Task(
        id=task.id,
        subject="Ligar",
        description="Confirmar a visita",
        type="call",
        status="pending",
        priority="high",
        due_date=date(2026, 7, 1),
        due_time="14:30",
        lead_id=lead["id"],
        lead=TaskLead(id=lead["id"], name=lead["name"], phone=lead["phone"], email=lead["email"]),
        assigned_to=OWNER_ID,
        assigned_user=Assignee(id=OWNER_ID, name="Ana"),
        notes="Prefere a tarde",
        is_overdue=False,
        created_at=noon,
        updated_at=noon,
    )
    assert [one async for one in world.syncro.tasks.list(lead_id=lead["id"], status="pending")] == [
        task
    ]
    shown = await world.syncro.leads.get(lead["id"], include=["tasks"])
    assert shown.tasks is not UNSET
    assert task.id in {one.id for one in shown.tasks}


FILTERS: list[tuple[dict[str, Any], dict[str, str], Callable[[Task], bool]]] = [
    ({"lead_id": 5}, {"lead_id": "5"}, lambda task: task.lead_id == 5),
    ({"assigned_to": 12}, {"assigned_to": "12"}, lambda task: task.assigned_to == 12),
    ({"status": "pending"}, {"status": "pending"}, lambda task: task.status == "pending"),
    ({"type": "call"}, {"type": "call"}, lambda task: task.type == "call"),
    ({"priority": "high"}, {"priority": "high"}, lambda task: task.priority == "high"),
    (
        {"due_from": date(2026, 1, 1)},
        {"due_from": "2026-01-01"},
        lambda task: task.due_date is not None and task.due_date >= date(2026, 1, 1),
    ),
    (
        {"due_to": date(2026, 1, 1)},
        {"due_to": "2026-01-01"},
        lambda task: task.due_date is not None and task.due_date <= date(2026, 1, 1),
    ),
]


@pytest.mark.parametrize(("filters", "sent", "passes"), FILTERS)
async def test_a_filter_arrives_as_written_and_narrows_the_tasks(
    world: World, filters: dict[str, Any], sent: dict[str, str], passes: Callable[[Task], bool]
) -> None:
    await world.syncro.tasks.create(subject="A", type="visit", due_date=date(2026, 7, 1))
    everything = await world.syncro.tasks.list().collect()
    found = await world.syncro.tasks.list(**filters).collect()
    assert world.query() == sent | {"page": "1", "per_page": "200"}
    assert found == [task for task in everything if passes(task)]
    assert 0 < len(found) < len(everything)


async def test_tasks_come_page_by_page_each_once(world: World) -> None:
    made = await world.syncro.tasks.create(subject="A", type="task", due_date=date(2026, 7, 1))
    everything = [task async for task in world.syncro.tasks.list(page_size=7)]
    assert len({task.id for task in everything}) == len(everything)
    assert everything[-1] == made
    assert await world.syncro.tasks.list().count() == len(everything) > 28
    async with world.syncro.tasks.list(page_size=7).prefetch(pages=3) as ahead:
        assert [task async for task in ahead] == everything
    assert (
        await world.syncro.tasks.list(page_size=7, start_page=2, max_items=9).collect()
        == (everything[7:16])
    )


async def test_one_unreadable_task_does_not_cost_its_page(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    meta = {"total": 2, "per_page": 200, "current_page": 1, "last_page": 1, "has_more": False}
    bad = {"id": 2, "due_date": "soon"}
    world.sandbox.script(Trouble(body={"success": True, "data": [{"id": 1}, bad], "meta": meta}))
    (page,) = [page async for page in world.syncro.tasks.list().pages()]
    assert [task.id for task in page.items] == [1]
    assert b"soon" in page.unreadable[0].raw
    assert "/tasks: item 1 of the page is unreadable" in caplog.text


async def test_one_unreadable_user_is_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    seen: list[Event] = []
    sandbox = Sandbox(1, clock=clock)
    sandbox.script(Trouble(body={"success": True, "data": [{"id": "?"}, {"id": 12}]}))
    async with sandbox_client(sandbox=sandbox, clock=clock, observers=[seen.append]) as syncro:
        with caplog.at_level(logging.WARNING, "syncro_async"):
            assert await syncro.users.list() == [User(id=12)]
    assert "/users: item 0 of the page is unreadable" in caplog.text
    assert "ItemUnreadable" in {type(event).__name__ for event in seen}


async def test_a_mandatory_task_is_listed_until_it_is_done_and_then_as_done(world: World) -> None:
    (task,) = await world.syncro.tasks.list(lead_id=BLOCKED_LEAD_ID, status="pending").collect()
    assert task.is_overdue
    world.sandbox.complete_tasks(BLOCKED_LEAD_ID)
    assert await world.syncro.tasks.list(status="pending").collect() == []
    done = await world.syncro.tasks.list(lead_id=BLOCKED_LEAD_ID, type="call").collect()
    assert [(one.id, one.status, one.is_overdue) for one in done] == [(task.id, "completed", False)]
    assert done[0].completed_at == datetime(2026, 6, 30, 12, tzinfo=UTC)


async def test_a_webhook_lives_from_its_creation_to_its_end(world: World) -> None:
    webhooks = world.syncro.webhooks
    before = await webhooks.list()
    assert world.line == ("GET", "/webhooks")
    assert [one.id for one in before.webhooks] == [WEBHOOK_ID, FAILING_WEBHOOK_ID]
    assert "lead.stage_changed" in before.supported_events
    made = await webhooks.create(
        target_url="https://example.com/in", events=["lead.won"], secret="whsec_123"
    )
    assert world.line == ("POST", "/webhooks")
    assert (made.secret, made.events) == ("whsec_123", ["lead.won"])
    fetched = await webhooks.get(made.id)
    assert world.line == ("GET", f"/webhooks/{made.id}")
    assert fetched in (await webhooks.list()).webhooks
    assert (fetched.target_url, fetched.source, fetched.is_active, fetched.failure_count) == (
        *("https://example.com/in", "api", True),
        0,
    )
    assert "whsec" not in repr(made) + repr(fetched)
    await webhooks.update(made.id, events="lead.created", is_active=False)
    assert world.line == ("PUT", f"/webhooks/{made.id}")
    changed = await webhooks.get(made.id)
    assert (changed.events, changed.is_active) == (["lead.created"], False)
    assert changed.target_url == fetched.target_url
    await webhooks.delete(made.id)
    assert world.line == ("DELETE", f"/webhooks/{made.id}")
    assert await webhooks.list() == before
    for call in (webhooks.get(made.id), webhooks.update(made.id, is_active=True)):
        with pytest.raises(NotFoundError):
            await call
    with pytest.raises(NotFoundError):
        await webhooks.delete(made.id)


async def test_a_webhook_without_a_secret_is_given_one(world: World) -> None:
    one, other = [
        await world.syncro.webhooks.create(target_url="https://example.com", events="lead.won")
        for _ in range(2)
    ]
    assert one.secret
    assert other.secret
    assert one.secret != other.secret


async def test_a_failing_webhook_says_why(world: World) -> None:
    failing = await world.syncro.webhooks.get(FAILING_WEBHOOK_ID)
    assert (failing.is_active, failing.last_failure_reason) == (False, "HTTP 500")
    assert failing.last_failure_at is not None
    assert failing.last_failure_at.utcoffset() is not None


async def test_a_subscription_that_is_gone_once_its_deletion_was_lost_counts_as_deleted(
    world: World,
) -> None:
    world.sandbox.script(Trouble(lose_answer=True, method="DELETE"))
    await world.syncro.webhooks.delete(WEBHOOK_ID)
    assert [arrival.status for arrival in world.sandbox.arrivals] == [0, 404]


NEVER_TWICE: list[Callable[[AsyncClient], Awaitable[object]]] = [
    lambda at: at.tasks.create(subject="A", type="task", due_date=date(2026, 7, 1)),
    lambda at: at.webhooks.create(target_url="https://example.com", events="lead.won"),
]


@pytest.mark.parametrize("create", NEVER_TWICE)
async def test_a_creation_whose_answer_is_lost_is_not_sent_again(
    world: World, create: Callable[[AsyncClient], Awaitable[object]]
) -> None:
    world.sandbox.script(Trouble(lose_answer=True))
    with pytest.raises(OutcomeUnknownError):
        await create(world.syncro)
    world.sandbox.script(Trouble(status=500))
    with pytest.raises(ServerError):
        await create(world.syncro)
    assert len(world.sandbox.arrivals) == 2


READS: dict[str, tuple[Callable[[AsyncClient], Awaitable[object]], str]] = {
    "account.get": (lambda at: at.account.get(), "users:read"),
    "users.list": (lambda at: at.users.list(), "users:read"),
    "pipelines.list": (lambda at: at.pipelines.list(), "pipelines:read"),
    "custom_fields.list": (lambda at: at.custom_fields.list(), "custom_fields:read"),
    "whatsapp.instances": (lambda at: at.whatsapp.instances(), "whatsapp:read"),
    "whatsapp.templates": (lambda at: at.whatsapp.templates(), "whatsapp:read"),
    "tasks.list": (lambda at: at.tasks.list().collect(), "tasks:read"),
    "webhooks.list": (lambda at: at.webhooks.list(), "webhooks:read"),
    "webhooks.get": (lambda at: at.webhooks.get(1), "webhooks:read"),
}
WRITES: dict[str, tuple[Callable[[AsyncClient], Awaitable[object]], str]] = {
    "tasks.create": (NEVER_TWICE[0], "tasks:write"),
    "webhooks.create": (NEVER_TWICE[1], "webhooks:write"),
    "webhooks.update": (lambda at: at.webhooks.update(1, is_active=True), "webhooks:write"),
    "webhooks.delete": (lambda at: at.webhooks.delete(1), "webhooks:write"),
}


@pytest.mark.parametrize("name", [*READS, *WRITES])
async def test_a_key_without_the_scope_is_told_which_and_keeps_its_budget(name: str) -> None:
    call, scope = (READS | WRITES)[name]
    clock = FakeClock()
    sandbox = Sandbox(1, clock=clock)
    key = LEADS_ONLY_KEY if name in READS else READ_ONLY_KEY
    async with sandbox_client(sandbox=sandbox, clock=clock, api_key=key) as syncro:
        with pytest.raises(PermissionDeniedError) as refusal:
            await call(syncro)
        assert refusal.value.required_permission == scope
        assert syncro.budget().available == 60
    assert sandbox.writes == []


@pytest.mark.parametrize("name", READS)
async def test_a_read_only_key_reads_and_a_read_survives_trouble(name: str) -> None:
    clock = FakeClock()
    sandbox = Sandbox(1, clock=clock)
    for trouble in (
        Trouble(status=503, headers={"Retry-After": "7"}),
        Trouble(lose_answer=True),
        Trouble(status=429, headers={"Retry-After": "20"}),
    ):
        sandbox.script(trouble)
    async with sandbox_client(sandbox=sandbox, clock=clock, api_key=READ_ONLY_KEY) as syncro:
        assert await READS[name][0](syncro) is not None
    assert [arrival.status for arrival in sandbox.arrivals] == [503, 0, 429, 200]
    assert clock.monotonic() >= 28


@pytest.mark.parametrize("name", [*READS, *WRITES])
async def test_an_expired_key_is_told_so(name: str) -> None:
    async with sandbox_client(leads=1, api_key=EXPIRED_KEY) as syncro:
        with pytest.raises(AuthenticationError) as refusal:
            await (READS | WRITES)[name][0](syncro)
        assert refusal.value.reason == "expired"


async def test_a_field_the_server_refuses_is_named(world: World) -> None:
    with pytest.raises(ValidationError) as task:
        await world.syncro.tasks.create(
            subject="A", type="telepathy", due_date=date(2026, 7, 1), lead_id=999
        )
    assert set(task.value.errors) == {"type", "lead_id"}
    with pytest.raises(ValidationError) as webhook:
        await world.syncro.webhooks.create(target_url="https://a.example", events=["lead.sung"])
    assert set(webhook.value.errors) == {"events.0"}
    assert world.sandbox.writes == []


@pytest.mark.parametrize("name", [name for name in READS if name != "tasks.list"])
async def test_an_answer_of_another_shape_is_an_error_that_says_where(name: str) -> None:
    clock = FakeClock()
    sandbox = Sandbox(1, clock=clock)
    sandbox.script(Trouble(body={"success": True, "id": "?", "account": []}))
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        with pytest.raises(UnexpectedResponseError, match="documented shape"):
            await READS[name][0](syncro)


@pytest.mark.parametrize(
    "body",
    [
        b'{"success": true, "secret": "whsec_\\"123", "id": "?"}',
        b'{"success": true, "secret" : "whsec_123',
    ],
)
async def test_a_secret_in_an_answer_nobody_can_read_is_in_no_error(body: bytes) -> None:
    clock = FakeClock()
    sandbox = Sandbox(1, clock=clock)
    sandbox.script(Trouble(body=body))
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        with pytest.raises(UnexpectedResponseError) as odd:
            await NEVER_TWICE[1](syncro)
    shown = str(odd.value) + repr(odd.value) + repr(vars(odd.value))
    assert "123" not in shown
    assert "***" in odd.value.excerpt


async def test_a_secret_in_a_refusal_is_in_no_error() -> None:
    clock = FakeClock()
    sandbox = Sandbox(1, clock=clock)
    body = {"message": "no", "secret": "whsec_123", "errors": {"secret": ["is too short"]}}
    sandbox.script(Trouble(status=422, body=body))
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        with pytest.raises(ValidationError) as refusal:
            await NEVER_TWICE[1](syncro)
    assert refusal.value.body["secret"] == "***"
    assert refusal.value.errors == {"secret": ["is too short"]}
