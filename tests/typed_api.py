"""The public API as a user's type checker sees it: read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Unpack, assert_type

import msgspec
import pandas as pd
import polars as pl
from fastapi import Depends, FastAPI

from syncro_async import (
    SYNCRO,
    UNSET,
    Account,
    APIError,
    AsyncClient,
    AuthenticationError,
    BadRowsError,
    Budget,
    BudgetWaitError,
    CustomField,
    Enrollment,
    ExportReceipt,
    Failed,
    FailureGroup,
    ImportStoppedError,
    ImportSummary,
    Lead,
    LeadFields,
    LeadFilters,
    Limiter,
    LostReason,
    NewWebhook,
    Page,
    PageMeta,
    Paginator,
    PendingTask,
    Pipeline,
    Pipelines,
    Plan,
    Progress,
    ProgressBar,
    ProviderError,
    RateLimit,
    RateLimitedError,
    RawResult,
    RetryPolicy,
    RowProblem,
    SentMessage,
    Stage,
    StageBlockedError,
    Succeeded,
    SyncReceipt,
    Task,
    UnexpectedResponseError,
    UpsertResult,
    User,
    ValidationError,
    Webhook,
    Webhooks,
    WhatsAppInstance,
    WhatsAppTemplate,
)
from syncro_async.dialects import ROUTEMCP, WOLFEO, Cursor, PageNumbers
from syncro_async.integrations.fastapi import (
    StructResponse,
    SyncroDep,
    add_error_handlers,
    client_named,
    syncro_lifespan,
)
from syncro_async.testing import FakeClock, assert_within_limit, sandbox_client


class Answer(msgspec.Struct):
    success: bool


async def making_a_client(limiter: Limiter) -> None:
    plain = AsyncClient()
    full = AsyncClient(
        "key",
        base_url="https://crm.example/api/v1",
        dialect=SYNCRO,
        rate_limit=[RateLimit(60, 60.0), RateLimit(calls=5, seconds=1, burst=2, guard=0.5)],
        limiter=limiter,
        lane="bulk",
        max_wait=30,
        retry=RetryPolicy(attempts=2, base_delay=0.1, max_delay=1, max_elapsed=10),
        timeout=5,
        max_connections=4,
        transport=None,
        clock=FakeClock(),
    )
    shared = AsyncClient(limiter="memory://", rate_limit=RateLimit(60, 60.0))
    assert_type(full.with_options(lane="interactive", max_wait=None, timeout=1.5), AsyncClient)
    assert_type(plain.with_options(retry=RetryPolicy()), AsyncClient)
    async with shared as syncro:
        assert_type(syncro, AsyncClient)
    await plain.aclose()


async def a_client_in_a_test() -> None:
    async with sandbox_client(leads=10, max_wait=1.0, lane="bulk") as syncro:
        assert_type(syncro, AsyncClient)
    assert_type(assert_within_limit([0.0, 1], calls=60, seconds=60), int)


async def keys_that_rotate() -> None:
    async def ask() -> str:
        return "crm_x"

    AsyncClient(ask)
    AsyncClient(lambda: "crm_x")


async def passing_filters_on(syncro: AsyncClient, **filters: Unpack[LeadFilters]) -> list[Lead]:
    fields: LeadFields = {"name": "Ana", "value": 5}
    await syncro.leads.upsert(**fields, match_by="email")
    return await syncro.leads.list(**filters, page_size=50).collect()


async def what_is_left(syncro: AsyncClient) -> None:
    budget = syncro.budget()
    assert_type(budget, Budget)
    assert_type(budget.limit, int)
    assert_type(budget.window, float)
    assert_type(budget.available, int)
    assert_type(budget.in_flight, int)
    assert_type(budget.waiting, int)
    assert_type(budget.next_free_in, float)


async def any_endpoint(syncro: AsyncClient) -> None:
    assert_type(await syncro.request("GET", "/pipelines", params={"page": 1}), Any)
    assert_type(await syncro.request("POST", "/x", json={"a": [1]}, type=Answer), Answer)
    assert_type(await syncro.request("GET", "/x", type=dict[str, int]), dict[str, int])


async def any_list(syncro: AsyncClient) -> None:
    assert_type(syncro.paginate("/contacts"), Paginator[Any])
    answers = syncro.paginate(
        "/things", params={"page": 2}, item=Answer, page_size=50, max_items=9, paging=PageNumbers()
    )
    assert_type(answers, Paginator[Answer])
    cursor = Cursor(query="cursor", field="meta.next", items="data", size="limit", largest=100)
    async for page in syncro.paginate("/things", item=Answer, paging=cursor).pages():
        assert_type(page.items, list[Answer])
        assert_type(page.next_cursor, str | None)


def other_services() -> None:
    team = ROUTEMCP.with_options(plan="team", provider="hubspot", paging=Cursor("after", "next"))
    client = AsyncClient(dialect=team)
    ana = client.with_options(dialect=team.with_options(end_user_id="ana"))
    assert_type(ana, AsyncClient)
    assert_type(AsyncClient(dialect=WOLFEO), AsyncClient)


async def reading_leads(syncro: AsyncClient) -> None:
    leads = syncro.leads.list(
        pipeline_id=1,
        stage_id=2,
        assigned_to=3,
        source="site",
        status="open",
        tags=["vip"],
        q="ana",
        updated_since=datetime(2026, 1, 1, tzinfo=UTC),
        created_from=date(2026, 1, 1),
        created_to=date(2026, 2, 1),
        include=["owner"],
        page_size=50,
        start_page=2,
        max_items=120,
    )
    assert_type(leads, Paginator[Lead])
    async for lead in leads:
        assert_type(lead, Lead)
    async for page in leads.pages():
        assert_type(page, Page[Lead])
        assert_type(page.items, list[Lead])
        assert_type(page.meta, PageMeta)
    assert_type(await leads.collect(), list[Lead])
    assert_type(await leads.to_dataframe(pl.DataFrame), pl.DataFrame)
    assert_type(await leads.to_dataframe(pd.DataFrame), pd.DataFrame)
    assert_type(await leads.to_dataframe("polars"), Any)
    assert_type(await leads.to_dataframe(), Any)
    assert_type(await leads.first(), Lead | None)
    assert_type(await leads.count(), int)
    async with leads.prefetch(pages=4) as items:
        async for item in items:
            assert_type(item, Lead)


async def one_lead(syncro: AsyncClient) -> None:
    assert_type(await syncro.leads.get(7), Lead)
    raw = await syncro.with_raw_response.leads.get(7, include="conversation")
    assert_type(raw, RawResult[Lead])
    assert_type(raw.parsed, Lead)
    assert_type(raw.headers["date"], str)
    assert_type(await syncro.tasks.with_raw_response.list(), RawResult[Page[Task]])
    assert_type(await syncro.with_raw_response.request("GET", "/x"), RawResult[Any])
    typed = await syncro.with_raw_response.request("GET", "/x", type=Answer)
    assert_type(typed, RawResult[Answer])
    lead = await syncro.leads.get(7, include=["owner", "tasks"])
    assert_type(lead.id, int)
    assert_type(lead.name, str | None)
    assert_type(lead.value, float | None)
    assert_type(lead.birthday, date | None)
    assert_type(lead.created_at, datetime | None)
    assert_type(lead.tags, list[str] | None)
    if lead.owner is not UNSET and lead.owner is not None:
        assert_type(lead.owner.name, str | None)
    if lead.notes_list is not UNSET:
        for _note in lead.notes_list:
            pass


async def writing_leads(syncro: AsyncClient) -> None:
    created = await syncro.leads.create(
        name="Ana",
        pipeline_id=1,
        stage_id=2,
        phone="+5511999990000",
        email="ana@example.com",
        value=10,
        source="site",
        tags=["vip"],
        notes="Called.",
        utm_source="a",
        utm_medium="b",
        utm_campaign="c",
        utm_term="d",
        utm_content="e",
        assigned_to=3,
        custom_fields={"size": "M"},
    )
    assert_type(created, Lead)
    result = await syncro.leads.upsert(email="ana@example.com", match_by="email")
    assert_type(result, UpsertResult)
    assert_type(result.created, bool)
    assert_type(result.lead, Lead)
    await syncro.leads.move(7, stage_id=3, pipeline_id=1)
    await syncro.leads.mark_won(7, stage_id=4, value=99.9)
    await syncro.leads.mark_lost(7, stage_id=5, reason_id=1)
    await syncro.leads.delete(7)
    assert_type(await syncro.leads.add_tags(7, ["vip"]), list[str])
    assert_type(await syncro.leads.remove_tag(7, "vip"), list[str])
    assert_type(await syncro.leads.enroll(7, sequence_id=1), Enrollment)
    assert_type(await syncro.leads.unenroll(7, sequence_id=1), Enrollment)


async def many_calls(syncro: AsyncClient, ids: AsyncIterator[int]) -> None:
    async with syncro.bulk.map(syncro.leads.get, ids, concurrency=5, ordered=True) as outcomes:
        async for outcome in outcomes:
            match outcome:
                case Succeeded(index, item, value):
                    assert_type(index, int)
                    assert_type(item, int)
                    assert_type(value, Lead)
                case Failed(index, item, error):
                    assert_type(item, int)
                    assert_type(error, Exception)


async def importing_leads(syncro: AsyncClient) -> None:
    def tell(progress: Progress) -> None:
        assert_type(progress.seconds_left, float | None)

    summary = await syncro.bulk.upsert_leads(
        "leads.csv",
        match_by="email",
        columns={"Nome": "name", "id": None},
        defaults={"pipeline_id": 1},
        definitions=[{"name": "size", "field_type": "text"}],
        journal="leads.journal",
        failures="failed.csv",
        canary=0,
        max_failures=5,
        diff=True,
        dry_run=False,
        on_progress=tell,
    )
    assert_type(summary, ImportSummary)
    assert_type(summary.unsent, int)
    assert_type(summary.reasons, tuple[FailureGroup, ...])
    rows = [{"name": "Ana", "pipeline_id": 1, "stage_id": 4}]
    assert_type(await syncro.bulk.create_leads(rows, on_progress=ProgressBar()), ImportSummary)
    assert_type(syncro.bulk.plan(600), Plan)
    assert_type(await syncro.bulk.plan_import(rows, create=True), Plan)


def reading_import_errors(bad: BadRowsError, stopped: ImportStoppedError) -> None:
    assert_type(bad.problems, tuple[RowProblem, ...])
    assert_type(bad.problems[0].line, int)
    assert_type(stopped.summary, ImportSummary)


async def sending_messages(syncro: AsyncClient) -> None:
    text = await syncro.leads.send_whatsapp(7, body="Hello", instance_id=1)
    assert_type(text, SentMessage)
    image = await syncro.leads.send_whatsapp(7, media_url="https://x.example/a.png", caption="A")
    assert_type(image.message_id, int)
    template = await syncro.leads.send_template(7, template_id=1, variables=["Ana"])
    assert_type(template, SentMessage)


def told(progress: Progress) -> None:
    assert_type(progress.done, int)
    assert_type(progress.total, int | None)
    assert_type(progress.seconds_left, float | None)


async def exporting_and_syncing(syncro: AsyncClient, file: Path) -> None:
    receipt = await syncro.bulk.export_leads(file, tags=["vip"], include="owner", on_progress=told)
    assert_type(receipt, ExportReceipt)
    assert_type(receipt.complete, bool)
    assert_type(receipt.reason, str | None)
    await syncro.bulk.export_leads("leads", format="parquet", resume=False)
    plan = await syncro.bulk.plan_export(updated_since=date(2026, 6, 30), max_items=9)
    assert_type(plan, Plan)
    assert_type(plan.finishes_at, datetime)
    synced = await syncro.bulk.sync_leads("crm.db", table="people", full=True, on_progress=told)
    assert_type(synced, SyncReceipt)
    assert_type(synced.until, datetime | None)
    assert_type(await syncro.bulk.plan_sync(file), Plan)


async def tasks(syncro: AsyncClient, word: str) -> None:
    found = syncro.tasks.list(
        lead_id=7,
        assigned_to=3,
        status="pending",
        type="call",
        priority="high",
        due_from=date(2026, 7, 1),
        due_to=date(2026, 7, 31),
        page_size=50,
        start_page=2,
        max_items=120,
    )
    assert_type(found, Paginator[Task])
    assert_type(await syncro.tasks.list(type=word, status=word, priority=word).first(), Task | None)
    made = await syncro.tasks.create(
        subject="Call",
        type="call",
        due_date=date(2026, 7, 1),
        description="About the visit.",
        priority="low",
        due_time=time(14, 30),
        lead_id=7,
        assigned_to=3,
        notes="Afternoons.",
    )
    assert_type(made, Task)
    assert_type(made.due_date, date | None)
    assert_type(made.completed_at, datetime | None)
    await syncro.tasks.create(subject="A", type=word, due_date=date(2026, 7, 2), due_time="14:30")
    known: str | None = made.type
    if known == word or made.type == "call" or made.priority == word:
        pass


async def the_account(syncro: AsyncClient) -> None:
    assert_type(await syncro.account.get(), Account)
    assert_type(await syncro.users.list(), list[User])
    assert_type(await syncro.custom_fields.list(), list[CustomField])
    assert_type(await syncro.custom_fields.list(active_only=True), list[CustomField])
    assert_type(await syncro.whatsapp.instances(), list[WhatsAppInstance])
    templates = await syncro.whatsapp.templates(instance_id=1, status="APPROVED", language="pt_BR")
    assert_type(templates, list[WhatsAppTemplate])
    assert_type(templates[0].more, dict[str, Any])
    found = await syncro.pipelines.list()
    assert_type(found, Pipelines)
    assert_type(found.pipelines, list[Pipeline])
    assert_type(found.find("Vendas"), Pipeline)
    assert_type(await syncro.pipelines.find("Vendas"), Pipeline)
    assert_type(await syncro.pipelines.stage("Vendas", "Novo"), Stage)
    assert_type(found.find("Vendas").stages, list[Stage])
    assert_type(found.stage("Vendas", "Novo"), Stage)
    assert_type(found.stage(found.pipelines[0], "Novo").id, int)
    assert_type(found.reason("Preço"), LostReason)


async def webhooks(syncro: AsyncClient) -> None:
    made = await syncro.webhooks.create(
        target_url="https://example.com/in",
        events=["lead.won", "an.event.of.tomorrow"],
        source="n8n",
        secret="s",
    )
    assert_type(made, NewWebhook)
    assert_type(made.secret, str | None)
    found = await syncro.webhooks.list()
    assert_type(found, Webhooks)
    assert_type(found.webhooks, list[Webhook])
    assert_type(await syncro.webhooks.get(3), Webhook)
    await syncro.webhooks.update(3, target_url="https://a.example", events="lead.won")
    await syncro.webhooks.update(3, is_active=False)
    await syncro.webhooks.delete(3)


def reading_errors(error: APIError) -> None:
    assert_type(error.status, int)
    assert_type(error.code, str | None)
    assert_type(error.message, str)
    assert_type(error.body, Any)
    assert_type(error.method, str | None)
    assert_type(error.path, str | None)
    assert_type(error.attempts, int)
    assert_type(error.retry_after, float | None)
    assert_type(error.advice, str | None)
    match error:
        case ValidationError():
            assert_type(error.errors, dict[str, list[str]])
        case StageBlockedError():
            assert_type(error.pending_tasks, tuple[PendingTask, ...])
        case RateLimitedError():
            assert_type(error.retry_after, float | None)
        case ProviderError():
            assert_type(error.raw, Any)
        case AuthenticationError():
            if error.reason == "expired":
                pass
        case _:
            pass


def reading_other_errors(wait: BudgetWaitError, odd: UnexpectedResponseError) -> None:
    assert_type(wait.wait_needed, float)
    assert_type(odd.status, int)
    assert_type(odd.content_type, str | None)
    assert_type(odd.excerpt, str)


async def passing_a_paginator_on(syncro: AsyncClient) -> AsyncIterator[Lead]:
    async for lead in syncro.leads.list():
        yield lead


def serving_with_fastapi() -> None:
    second = syncro_lifespan(lambda: AsyncClient(max_wait=2.0), name="other")
    app = FastAPI(lifespan=syncro_lifespan(inner=second, max_wait=10.0))
    add_error_handlers(app)

    @app.get("/leads/{lead_id}")
    async def read(
        lead_id: int,
        syncro: Annotated[AsyncClient, SyncroDep],
        other: Annotated[AsyncClient, Depends(client_named("other"))],
    ) -> StructResponse:
        assert_type(syncro, AsyncClient)
        assert_type(other, AsyncClient)
        return StructResponse(await syncro.leads.get(lead_id))

    assert_type(app.state.syncro, Any)
    app.state.handler = read
