"""The public API as a user's type checker sees it: read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any, assert_type

import msgspec
import pandas as pd
import polars as pl

from syncro_async import (
    SYNCRO,
    UNSET,
    APIError,
    AsyncClient,
    AuthenticationError,
    Budget,
    BudgetWaitError,
    Enrollment,
    Lead,
    Limiter,
    Page,
    PageMeta,
    Paginator,
    PendingTask,
    ProviderError,
    RateLimit,
    RateLimitedError,
    RetryPolicy,
    SentMessage,
    StageBlockedError,
    UnexpectedResponseError,
    UpsertResult,
    ValidationError,
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
    async with sandbox_client(leads=10) as syncro:
        assert_type(syncro, AsyncClient)
    assert_type(assert_within_limit([0.0, 1], calls=60, seconds=60), int)


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
    assert_type(await leads.to_dataframe("polars"), pl.DataFrame)
    assert_type(await leads.to_dataframe("pandas"), pd.DataFrame)
    assert_type(await leads.to_dataframe(), Any)
    assert_type(await leads.first(), Lead | None)
    assert_type(await leads.count(), int)
    async with leads.prefetch(pages=4) as items:
        async for item in items:
            assert_type(item, Lead)


async def one_lead(syncro: AsyncClient) -> None:
    assert_type(await syncro.leads.get(7), Lead)
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


async def sending_messages(syncro: AsyncClient) -> None:
    text = await syncro.leads.send_whatsapp(7, body="Hello", instance_id=1)
    assert_type(text, SentMessage)
    image = await syncro.leads.send_whatsapp(7, media_url="https://x.example/a.png", caption="A")
    assert_type(image.message_id, int)
    template = await syncro.leads.send_template(7, template_id=1, variables=["Ana"])
    assert_type(template, SentMessage)


def reading_errors(error: APIError) -> None:
    assert_type(error.status, int)
    assert_type(error.code, str | None)
    assert_type(error.message, str)
    assert_type(error.body, Any)
    assert_type(error.method, str | None)
    assert_type(error.path, str | None)
    assert_type(error.attempts, int)
    assert_type(error.retry_after, float | None)
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
