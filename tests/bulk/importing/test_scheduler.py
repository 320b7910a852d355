from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from syncro_async.bulk.importing.fields import FieldMapping
from syncro_async.bulk.importing.journal import (
    Journal,
    Outcome,
    QueuedRow,
    counts,
)
from syncro_async.bulk.importing.outage import Outage
from syncro_async.bulk.importing.row_states import begin_run, revert_unsent, rows_in
from syncro_async.bulk.importing.scheduler import RowScheduler
from syncro_async.bulk.importing.sender import Sender
from syncro_async.bulk.importing.staging import RowStaging
from syncro_async.bulk.importing.writer import LeadWriter
from syncro_async.bulk.job import Job
from syncro_async.sandbox import Sandbox
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.messages import SendStats


@pytest.fixture
async def journal() -> AsyncIterator[Journal]:
    """A journal of twenty rows: the eleventh is about the first one's lead."""
    async with Journal(None) as it:
        fields = FieldMapping("upsert", "email", None, None)
        intake = RowStaging(it, fields, "upsert", FakeClock())
        await intake.load({"email": f"{n if n != 10 else 0}@x.y", "value": n} for n in range(20))
        await intake.check()
        await intake.commit({})
        yield it


async def queue_of(journal: Journal, limit: int | None = None) -> RowScheduler:
    await journal.run(begin_run)
    unknown = await journal.run(lambda db: [row.idx for row in rows_in(db, "unknown")])
    return RowScheduler(journal, unknown, limit=limit)


async def test_a_stopped_queue_hands_out_no_more_rows(journal: Journal) -> None:
    queue = await queue_of(journal)
    async with aclosing(queue.rows()) as rows:
        assert (await anext(rows)).idx == 0
        queue.stop()
        assert [row async for row in rows] == []
    await queue.revert_unsent()
    assert await journal.run(counts) == {"pending": 20}


async def test_a_pass_with_a_limit_hands_out_no_more_rows(journal: Journal) -> None:
    queue = await queue_of(journal, limit=12)
    seen = []
    async with aclosing(queue.rows()) as rows:
        async for row in rows:
            seen.append(row.idx)
            queue.end(row)
    assert seen == [*range(10), 10, 11]


async def test_stopping_calls_away_the_rows_that_were_not_sent_and_no_others(
    journal: Journal,
) -> None:
    queue = await queue_of(journal)
    called_away: list[int] = []

    async def stand(row: QueuedRow, sent: int) -> None:
        queue.begin(row, SendStats(sent=sent))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            called_away.append(row.idx)
            raise

    async with aclosing(queue.rows()) as rows:
        first, second = [await anext(rows) for _ in range(2)]
        tasks = [asyncio.create_task(stand(row, sent)) for row, sent in ((first, 0), (second, 1))]
        await asyncio.sleep(0)
        queue.begin(await anext(rows), SendStats())
        queue.stop()
        await asyncio.wait(tasks[:1])
    assert called_away == [0]
    await queue.revert_unsent()
    assert await journal.run(counts) == {"pending": 19, "unknown": 1}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_rows_whose_answer_was_lost_hold_up_later_rows_of_their_lead(
    journal: Journal,
) -> None:
    queue = await queue_of(journal)
    async with aclosing(queue.rows()) as rows:
        assert (await anext(rows)).idx == 0
    await journal.run(lambda db: revert_unsent(db, [0]))
    assert await journal.run(counts) == {"unknown": 1, "pending": 19}
    queue = await queue_of(journal)
    order = []
    async with aclosing(queue.rows()) as rows:
        async for row in rows:
            order.append(row.idx)
            queue.end(row)
    assert order == [*range(1, 10), *range(11, 20)]


async def test_a_pass_ends_when_too_many_answers_were_lost() -> None:
    async with Journal(None) as it:
        intake = RowStaging(it, FieldMapping("upsert", "email", None, None), "upsert", FakeClock())
        await intake.load({"email": f"{n}@x.y"} for n in range(300))
        await intake.check()
        await intake.commit({})
        queue = await queue_of(it)
        seen = 0
        async with aclosing(queue.rows()) as rows:
            async for row in rows:
                seen += 1
                queue.end(row, lost=True)
    assert seen == 200


async def test_a_row_that_joins_two_leads_waits_for_both(journal: Journal) -> None:
    async with Journal(None) as it:
        intake = RowStaging(
            it, FieldMapping("upsert", "email_or_phone", None, None), "upsert", FakeClock()
        )
        first, second = {"email": "a@b.c"}, {"phone": "+5511999990000"}
        await intake.load([first, second, {**first, **second}])
        await intake.check()
        await intake.commit({})
        queue = await queue_of(it)
        async with aclosing(queue.rows()) as rows:
            begun = [await anext(rows), await anext(rows)]
            third = asyncio.create_task(anext(rows))
            for row in begun:
                await asyncio.sleep(0)
                assert not third.done()
                queue.end(row)
            assert (await third).idx == 2


async def test_a_row_handed_out_just_before_the_stop_is_not_sent(journal: Journal) -> None:
    queue = await queue_of(journal)
    sandbox = Sandbox(0)
    async with sandbox_client(sandbox=sandbox) as syncro:
        ground = syncro.bulk._context
        outcomes: list[Outcome] = []

        sender = Sender(
            job=Job.start(ground),
            journal=journal,
            queue=queue,
            outage=Outage(FakeClock(), 1.0),
            writer=LeadWriter(
                ground,
                journal,
                FieldMapping("upsert", "email", None, None),
                "upsert",
                match_by="email",
                tags_mode="add",
                compared=False,
            ),
            on_outcome=lambda outcome, _: outcomes.append(outcome),
        )
        async with aclosing(queue.rows()) as rows:
            row = await anext(rows)
            queue.stop()
            await sender.process(row)
    assert outcomes == [Outcome(0, "pending")]
    assert sandbox.arrivals == []
