from __future__ import annotations

import asyncio
import pickle
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncro_async import (
    AsyncClient,
    BadRowsError,
    Budget,
    ConfigurationError,
    FailureGroup,
    ImportStoppedError,
    ImportSummary,
    Lane,
    PlanLimitError,
    Progress,
    RateLimit,
    RowProblem,
)
from syncro_async.limiting.protocol import Slot, SlotOutcome
from syncro_async.sandbox import EXPIRED_KEY, READ_ONLY_KEY, Sandbox, Trouble
from syncro_async.testing import FakeClock, sandbox_client
from tests.bulk.event_loop_turns import until


class Place:
    """A sandbox with more budget than a test spends, its client, and a folder."""

    def __init__(self, syncro: AsyncClient, sandbox: Sandbox, clock: FakeClock, at: Path) -> None:
        self.syncro, self.sandbox, self.clock, self.folder = syncro, sandbox, clock, at
        self.bulk = syncro.bulk
        self.journal = at / "rows.journal"

    @property
    def posts(self) -> int:
        return sum(arrival.method == "POST" for arrival in self.sandbox.arrivals)

    @property
    def gets(self) -> int:
        return sum(arrival.method == "GET" for arrival in self.sandbox.arrivals)

    def times_of_posts(self) -> list[float]:
        return [arrival.at for arrival in self.sandbox.arrivals if arrival.method == "POST"]

    def asked(self, path: str) -> int:
        return sum(arrival.path == path for arrival in self.sandbox.arrivals)

    def named(self, email: str) -> list[Any]:
        return [lead["name"] for lead in self.sandbox.leads.values() if lead["email"] == email]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with a_place(tmp_path) as it:
        yield it


@asynccontextmanager
async def a_place(
    folder: Path, leads: int = 10, key: str | None = None, **settings: Any
) -> AsyncIterator[Place]:
    clock = FakeClock()
    sandbox = Sandbox(leads, clock=clock, **settings)
    async with sandbox_client(sandbox=sandbox, clock=clock, api_key=key) as syncro:
        yield Place(syncro, sandbox, clock, folder)


def row(number: int, **more: Any) -> dict[str, Any]:
    fields = {"name": f"Lead {number}", "email": f"{number}@example.com", "pipeline_id": 1}
    return {**fields, "stage_id": 4, **more}


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [row(number, **more) for number in range(count)]


def counted(summary: ImportSummary) -> tuple[int, ...]:
    """Created, updated, unchanged, failed, in doubt, unsent."""
    s = summary
    return s.created, s.updated, s.unchanged, s.failed, s.in_doubt, s.unsent


# ------------------------------------------------------------------ what is sent


async def test_each_row_creates_its_lead_or_updates_it(place: Place) -> None:
    known = place.sandbox.leads[3]
    sent = [*rows(4), {"email": known["email"], "value": 77.5}]
    summary = await place.bulk.upsert_leads(sent)
    assert counted(summary) == (4, 1, 0, 0, 0, 0)
    assert (summary.total, place.posts, summary.reasons) == (5, 5, ())
    assert known["value"] == 77.5
    assert place.named("2@example.com") == ["Lead 2"]


async def test_creating_makes_a_lead_of_each_row_whatever_there_is(place: Place) -> None:
    known = place.sandbox.leads[3]["email"]
    summary = await place.bulk.create_leads([row(1, email=known), row(2)])
    assert counted(summary) == (2, 0, 0, 0, 0, 0)
    assert len(place.named(known)) == 2


async def test_rows_may_be_structs_dataclasses_and_come_from_async_iterables(place: Place) -> None:
    class Struct(msgspec.Struct):
        name: str
        email: str
        pipeline_id: int = 1
        stage_id: int = 4

    @dataclass
    class Data:
        name: str
        phone: str
        pipeline_id: int = 1
        stage_id: int = 4

    async def some() -> AsyncIterator[Any]:
        for number in range(600):
            yield Struct(f"S {number}", f"s{number}@example.com")
        yield Data("D", "+5511999990001")

    assert counted(await place.bulk.upsert_leads(some())) == (601, 0, 0, 0, 0, 0)


async def test_no_rows_are_nothing_to_do(place: Place) -> None:
    assert counted(await place.bulk.upsert_leads([])) == (0, 0, 0, 0, 0, 0)
    assert place.sandbox.arrivals == []


async def test_rows_of_one_lead_are_sent_in_their_order_and_repeats_are_not(place: Place) -> None:
    place.sandbox.script(Trouble(delay=5.0, method="POST"))  # the first of them is slow
    sent = [
        row(1, name="Ana"),
        row(1, name="Ana Prado", phone="+551144440001"),
        row(1, name="Ana Prado", phone="+55 (11) 4444-0001"),
        {"phone": "+551144440001", "name": "Ana Lima Prado"},
        row(2),
    ]
    summary = await place.bulk.upsert_leads(sent, canary=0)
    assert counted(summary) == (2, 2, 1, 0, 0, 0)
    assert place.named("1@example.com") == ["Ana Lima Prado"]
    assert place.posts == 4


async def test_a_file_about_one_lead_alone_is_sent_row_by_row(place: Place) -> None:
    sent = [row(1, value=value) for value in range(1100)]
    sent.append(row(2))
    async with a_place(place.folder, per_minute=10_000) as quick:
        assert counted(await quick.bulk.upsert_leads(sent)) == (2, 1099, 0, 0, 0, 0)
        (lead,) = [
            lead for lead in quick.sandbox.leads.values() if lead["email"] == "1@example.com"
        ]
    assert lead["value"] == 1099


async def test_the_job_stands_in_the_bulk_lane_and_waits_as_long_as_it_takes(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    sandbox = Sandbox(1, clock=clock)
    async with sandbox_client(sandbox=sandbox, clock=clock, max_wait=1.0) as syncro:
        job = asyncio.create_task(syncro.bulk.upsert_leads(rows(130)))
        await until(lambda: syncro.budget().waiting == 20)
        assert syncro.budget().waiting_bulk == 20
        summary = await job
    assert counted(summary) == (130, 0, 0, 0, 0, 0)
    assert sandbox.refused == 0
    assert 2 * 60.25 <= summary.seconds < 2 * 60.25 + 1


# ------------------------------------------------------------------ what is refused beforehand


async def test_every_bad_row_is_told_at_once_and_nothing_is_sent(place: Place) -> None:
    sent = [
        *rows(3),
        {"name": "nobody"},
        row(4, value="a lot", stage_id="4.5"),
        row(5, tags=[1]),
        "no row at all",
        {1: 2},
        {"email": "x@example.com", "colour": "red"},
        row(6, value=object()),
        row(7, value=10**400),
        row(8, notes="\ud800"),
    ]
    with pytest.raises(BadRowsError) as caught:
        await place.bulk.upsert_leads(sent, journal=place.journal)
    problems = caught.value.problems
    assert [(problem.line, problem.column) for problem in problems] == [
        (4, "email or phone"),
        (5, "stage_id"),
        (5, "value"),
        (6, "tags"),
        (7, None),
        (8, None),
        (9, "colour"),
        (10, "value"),
        (11, "value"),
        (12, "notes"),
    ]
    assert problems[2] == RowProblem(5, "value", "must be a number", "a lot")
    assert "9 of 12 rows cannot be imported and nothing was sent" in str(caught.value)
    assert place.sandbox.arrivals == []
    assert not place.journal.exists()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.problems, str(again)) == (problems, str(caught.value))


async def test_problems_that_are_alike_are_told_together(place: Place) -> None:
    with pytest.raises(BadRowsError) as caught:
        await place.bulk.upsert_leads([*rows(7, value="x"), row(8, tags=3)])
    assert caught.value.groups == (
        FailureGroup("value must be a number", 7, (1, 2, 3, 4, 5), ("x",) * 5, column="value"),
        FailureGroup("tags must be a list of texts", 1, (8,), (3,), column="tags"),
    )
    told = "value must be a number (lines 1: 'x', 2: 'x', 3: 'x', 4: 'x', 5: 'x' and 2 more)"
    assert told in str(caught.value)
    assert "tags must be a list of texts (line 8: 3)" in str(caught.value)


async def test_one_phone_with_two_emails_is_two_people_that_the_server_would_make_one(
    place: Place,
) -> None:
    sent = [row(1, phone="+5511 9999-0000"), row(2, phone="+551199990000"), row(2)]
    with pytest.raises(BadRowsError) as caught:
        await place.bulk.upsert_leads(sent)
    first, second = caught.value.problems
    assert (first.line, second.line) == (1, 2)
    assert ("of line 2" in first.reason, "of line 1" in second.reason) == (True, True)
    summary = await place.bulk.upsert_leads(sent, match_by="email")
    assert counted(summary) == (2, 1, 0, 0, 0, 0)


async def test_the_same_row_twice_is_no_row_to_create(place: Place) -> None:
    with pytest.raises(BadRowsError, match="same as line 1 and would be created twice"):
        await place.bulk.create_leads([row(1), row(2), row(1)])
    summary = await place.bulk.create_leads([row(1), row(1, name="another deal of hers")])
    assert counted(summary) == (2, 0, 0, 0, 0, 0)


async def test_what_a_lead_needs_must_be_there_to_create_it(place: Place) -> None:
    with pytest.raises(BadRowsError) as caught:
        await place.bulk.create_leads([{"name": "Ana"}, {"stage_id": 4, "pipeline_id": 1}])
    assert [problem[:3] for problem in caught.value.problems] == [
        (1, "pipeline_id", "is required"),
        (1, "stage_id", "is required"),
        (2, "name", "is required"),
    ]
    home = {"pipeline_id": 1, "stage_id": 4, "name": "Nobody"}
    summary = await place.bulk.create_leads([{"name": "Ana"}, {"email": "a@b.c"}], defaults=home)
    assert counted(summary) == (2, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"canary": -1}, "canary"),
        ({"max_failures": 1.5}, "max_failures"),
        ({"match_by": "name"}, "match_by"),
        ({"columns": {"E-mail": "mail"}}, "no field"),
        ({"defaults": {"value": "x"}}, "default of value 'x' must be a number"),
        ({"defaults": {"colour": "x"}}, "default of colour is no field"),
        ({"failures": "rows.ods"}, "must end in one of .csv, .tsv, .txt, .xlsx, .jsonl, .parquet"),
        ({"locale": "xx"}, "locale 'xx' is not known; known are pt-BR, en-US"),
        ({"encoding": "ansi2"}, "encoding 'ansi2' is not known"),
        ({"header_row": 0}, "header_row must be the number of a line, from 1, not 0"),
        ({"on_bad_row": "skip"}, "on_bad_row must be 'stop' or 'set-aside', not 'skip'"),
        ({"definitions": [{"label": "x"}]}, "definitions"),
    ],
)
async def test_arguments_that_cannot_be_are_refused(
    place: Place, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        await place.bulk.upsert_leads(rows(1), **arguments)
    assert place.sandbox.arrivals == []


# ------------------------------------------------------------------ custom fields


async def test_custom_fields_are_asked_for_once_and_their_values_made_to_fit(place: Place) -> None:
    sent = [
        row(1, **{"custom_fields.orcamento": "1.500,75", "custom_fields.segmento": "varejo"}),
        row(2, custom_fields={"aceita_contato": "sim", "interesses": "crm; funil"}),
        row(3, custom_fields='{"data_retorno": "2026-07-01", "segmento": ""}'),
    ]
    summary = await place.bulk.upsert_leads(
        sent, defaults={"custom_fields.tamanho_empresa": "1-10"}
    )
    assert (summary.created, place.posts) == (3, 3)
    held = {lead["name"]: lead["custom_fields"] for lead in place.sandbox.leads.values()}
    assert held["Lead 1"] == {
        "orcamento": 1500.75,
        "segmento": "varejo",
        "tamanho_empresa": "1-10",
    }
    assert held["Lead 2"] == {
        "aceita_contato": True,
        "interesses": ["crm", "funil"],
        "tamanho_empresa": "1-10",
    }
    assert held["Lead 3"] == {"data_retorno": "2026-07-01", "tamanho_empresa": "1-10"}


async def test_a_custom_field_that_is_none_would_be_lost_unseen_and_is_refused(
    place: Place,
) -> None:
    sent = [row(1, **{"custom_fields.tamanho": "1-10"}), row(2, custom_fields={"orcamento": "x"})]
    with pytest.raises(BadRowsError) as caught:
        await place.bulk.upsert_leads(sent)
    first, second = caught.value.problems
    assert first.column == "custom_fields.tamanho"
    assert "is no custom field of the account (it has tamanho_empresa, segmento" in first.reason
    assert second[:3] == (2, "custom_fields.orcamento", "must be a number")
    assert place.posts == 0


async def test_a_key_that_may_not_read_the_definitions_needs_them_given(place: Place) -> None:
    place.sandbox.script(
        Trouble(
            status=403,
            path="/custom-fields",
            body={"message": "no", "required_permission": "custom_fields:read"},
        )
    )
    sent = [row(1, custom_fields={"segmento": "varejo"})]
    with pytest.raises(ConfigurationError, match="scope custom_fields:read"):
        await place.bulk.upsert_leads(sent)
    given = [{"name": "segmento", "field_type": "text"}]
    summary = await place.bulk.upsert_leads(sent, definitions=given)
    assert (summary.created, place.asked("/custom-fields")) == (1, 1)


async def test_defaults_of_custom_fields_must_fit_them_too(place: Place) -> None:
    with pytest.raises(
        ValueError, match=r"default of custom_fields\.orcamento 'x' must be a number"
    ):
        await place.bulk.upsert_leads(rows(1), defaults={"custom_fields.orcamento": "x"})


# ------------------------------------------------------------------ failures, canary, fuse


async def test_what_the_server_refuses_is_told_and_goes_to_a_file_that_can_be_imported(
    place: Place,
) -> None:
    failures = place.folder / "failed.jsonl"
    sent = [*rows(3), row(7, stage_id=99), row(8, stage_id=98)]
    summary = await place.bulk.upsert_leads(sent, failures=failures)
    assert counted(summary) == (3, 0, 0, 2, 0, 0)
    (group,) = summary.reasons
    assert group == FailureGroup(
        "ValidationError: stage_id: The selected stage id is invalid.", 2, (4, 5)
    )
    failed = [msgspec.json.decode(line) for line in failures.read_bytes().splitlines()]
    assert [item["name"] for item in failed] == ["Lead 7", "Lead 8"]
    assert "422" in failed[0]["syncro_error"]
    mended = [{**item, "stage_id": 4} for item in failed]
    failures.write_bytes(msgspec.json.Encoder().encode_lines(mended))
    summary = await place.bulk.upsert_leads(failures, failures=place.folder / "again.csv")
    assert counted(summary) == (2, 0, 0, 0, 0, 0)
    assert not (place.folder / "again.csv").exists()


async def test_a_canary_that_fails_throughout_stops_the_job_before_the_rest_is_sent(
    place: Place,
) -> None:
    with pytest.raises(ImportStoppedError) as caught:
        await place.bulk.upsert_leads(rows(50, stage_id=99), canary=5, journal=place.journal)
    assert counted(caught.value.summary) == (0, 0, 0, 5, 0, 45)
    assert place.posts == 5
    said = str(caught.value)
    assert "the first 5 rows all failed for the same reason" in said
    assert "Of 50 rows: done 0, failed 5, in doubt 0, not sent 45" in said
    assert "same journal" in said
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.summary == caught.value.summary


async def test_a_canary_of_which_one_lives_lets_the_rest_go(place: Place) -> None:
    sent = [*rows(4, stage_id=99), row(5), *[row(number) for number in range(6, 30)]]
    assert counted(await place.bulk.upsert_leads(sent, canary=5)) == (25, 0, 0, 4, 0, 0)


async def test_no_row_follows_the_canary_before_it_is_through(place: Place) -> None:
    place.sandbox.script(Trouble(delay=9.0, method="POST"))
    await place.bulk.upsert_leads(rows(10), canary=2)
    times = place.times_of_posts()
    # The second row may be later than 0.0: the journal's thread works in real time.
    assert (times[0], times[2]) == (0.0, 9.0)


async def test_failures_that_are_alike_stop_the_job_once_there_are_too_many(place: Place) -> None:
    failures = place.folder / "left.csv"
    sent = [*rows(10), *[row(number, stage_id=99) for number in range(10, 60)], row(99)]
    with pytest.raises(ImportStoppedError) as caught:
        await place.bulk.upsert_leads(sent, canary=0, max_failures=3, failures=failures)
    created, _, _, failed, doubt, unsent = counted(caught.value.summary)
    assert created == 10
    assert 4 <= failed < 30
    assert (doubt, unsent) == (0, 51 - failed)
    assert place.posts == 10 + failed
    said = str(caught.value)
    assert "too many rows failed for the same reason (ValidationError: stage_id" in said
    assert f"the rows that are not done are in {failures}" in str(caught.value)
    lines = failures.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + failed + unsent
    assert sum(line.endswith("was not sent") for line in lines) == unsent
    assert caught.value.__cause__ is not None


async def test_a_plan_that_is_full_stops_the_job_at_once_and_keeps_every_unsent_row(
    tmp_path: Path,
) -> None:
    async with a_place(tmp_path, leads=10, max_leads=40) as place:
        with pytest.raises(ImportStoppedError) as caught:
            await place.bulk.create_leads(rows(100), journal=place.journal)
        assert isinstance(caught.value.__cause__, PlanLimitError)
        assert counted(caught.value.summary) == (30, 0, 0, 0, 0, 70)
        assert place.posts <= 30 + 20  # those that were on the wire by then
    async with a_place(tmp_path, leads=0) as larger:
        larger.sandbox.leads.update(place.sandbox.leads)
        summary = await larger.bulk.create_leads(rows(100), journal=place.journal)
        assert counted(summary) == (100, 0, 0, 0, 0, 0)
        assert larger.posts == 70


async def test_rows_that_wait_for_budget_are_called_away_when_the_job_stops(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    sandbox = Sandbox(10, clock=clock, max_leads=11)
    one_a_minute = RateLimit(1, 60.0)
    async with sandbox_client(sandbox=sandbox, clock=clock, rate_limit=one_a_minute) as syncro:
        with pytest.raises(ImportStoppedError) as caught:
            await syncro.bulk.create_leads(rows(100), canary=0)
    assert counted(caught.value.summary) == (1, 0, 0, 0, 0, 99)
    assert [arrival.method for arrival in sandbox.arrivals] == ["GET", "GET", "POST", "POST"]
    assert "with journal= the next run continues" in str(caught.value)


async def test_a_key_that_is_refused_stops_the_job_with_every_row_kept(tmp_path: Path) -> None:
    for key in (EXPIRED_KEY, READ_ONLY_KEY):
        async with a_place(tmp_path, key=key) as place:
            with pytest.raises(ImportStoppedError) as caught:
                await place.bulk.upsert_leads(rows(30), canary=1)
            assert counted(caught.value.summary) == (0, 0, 0, 0, 0, 30)
            assert place.posts <= 1
            assert "401" in str(caught.value) or "403" in str(caught.value)


# ------------------------------------------------------------------ the journal


async def test_a_second_run_with_the_journal_sends_nothing_again(place: Place) -> None:
    await place.bulk.upsert_leads(rows(20), journal=place.journal)
    posts = place.posts
    summary = await place.bulk.upsert_leads(rows(20), journal=str(place.journal))
    assert counted(summary) == (20, 0, 0, 0, 0, 0)
    assert (summary.requests, place.posts) == (0, posts)
    assert place.journal.stat().st_mode & 0o777 == 0o600


async def test_what_failed_is_tried_again_by_the_next_run(place: Place) -> None:
    place.sandbox.script(Trouble(status=422, body={"message": "not today"}, method="POST"))
    first = await place.bulk.create_leads(rows(5), journal=place.journal)
    assert counted(first) == (4, 0, 0, 1, 0, 0)
    second = await place.bulk.create_leads(rows(5), journal=place.journal)
    assert counted(second) == (5, 0, 0, 0, 0, 0)
    assert second.requests == 1


async def test_a_row_that_is_tried_again_does_not_undo_what_later_rows_of_its_lead_said(
    place: Place,
) -> None:
    sent = [
        row(1, name="Ana"),
        row(1, name="Ana Prado", phone="+5511999990001"),
        {"phone": "+5511999990001", "name": "Ana Lima Prado"},
        row(2),
    ]
    place.sandbox.script(Trouble(status=422, body={"message": "not today"}, method="POST"))
    first = await place.bulk.upsert_leads(sent, journal=place.journal)
    assert counted(first) == (2, 1, 0, 1, 0, 0)
    second = await place.bulk.upsert_leads(sent, journal=place.journal)
    assert place.named("1@example.com") == ["Ana Lima Prado"]
    assert (second.updated + second.created, second.failed) == (4, 0)
    assert second.requests == 3 + 2  # how the server spells the key of a lead that the import made


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (
            lambda bulk, at: bulk.upsert_leads([*rows(4), row(9)], journal=at),
            r"line 5 is the first",
        ),
        (lambda bulk, at: bulk.upsert_leads(rows(6), journal=at), r"line 6 is the first"),
        (lambda bulk, at: bulk.upsert_leads(rows(4), journal=at), r"the rows are not those"),
        (
            lambda bulk, at: bulk.create_leads(rows(5), journal=at),
            r"begun with kind upsert, and this run has create",
        ),
        (
            lambda bulk, at: bulk.upsert_leads(rows(5), journal=at, match_by="email", diff=False),
            r"match_by email_or_phone, and this run has email; diff True, and this run has False",
        ),
    ],
)
async def test_a_journal_of_other_rows_is_refused(
    place: Place, other: Callable[[Any, Path], Any], says: str
) -> None:
    await place.bulk.upsert_leads(rows(5), journal=place.journal)
    posts = place.posts
    with pytest.raises(ConfigurationError, match=says):
        await other(place.bulk, place.journal)
    assert place.posts == posts


async def test_one_journal_serves_one_run_at_a_time(place: Place) -> None:
    def slowly() -> Iterator[dict[str, Any]]:
        yield from rows(5)

    place.sandbox.script(Trouble(delay=50.0, method="POST"))
    first = asyncio.create_task(place.bulk.upsert_leads(slowly(), journal=place.journal))
    await until(lambda: place.posts)
    with pytest.raises(ConfigurationError, match="in use by another run"):
        await place.bulk.upsert_leads(rows(5), journal=place.journal)
    assert (await first).created == 5


async def test_what_is_no_journal_is_left_alone(place: Place) -> None:
    place.journal.write_text("my diary", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is not a journal of an import"):
        await place.bulk.upsert_leads(rows(1), journal=place.journal)
    assert place.journal.read_text(encoding="utf-8") == "my diary"


async def test_a_journal_that_cannot_be_made_is_an_os_error(place: Place) -> None:
    with pytest.raises(FileNotFoundError):
        await place.bulk.upsert_leads(rows(1), journal=place.folder / "none" / "rows.journal")


async def test_the_journal_never_holds_the_key(place: Place) -> None:
    place.sandbox.script(Trouble(status=422, body={"message": "crm_sandbox_full"}, method="POST"))
    await place.bulk.upsert_leads(rows(5), journal=place.journal, canary=0)
    files = list(place.folder.iterdir())
    assert place.journal in files
    assert all(b"crm_sandbox" not in file.read_bytes() for file in files)


async def test_an_interrupted_run_leaves_what_the_next_one_needs(place: Place) -> None:
    place.sandbox.script(Trouble(delay=20.0, method="POST", times=2))
    first = asyncio.create_task(place.bulk.create_leads(rows(100), journal=place.journal, canary=0))
    await until(lambda: place.posts == 57 and place.syncro.budget().waiting)
    on_the_wire = 2 - (place.clock.monotonic() >= 20) * 2
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    summary = await place.bulk.create_leads(rows(100), journal=place.journal)
    assert counted(summary) == (100, 0, 0, 0, 0, 0)
    reading = 1 if on_the_wire else 0  # decides about the rows that were on the wire
    assert summary.requests == 100 - 57 + reading
    assert len(place.sandbox.leads) == 110


async def test_a_refusal_for_lack_of_budget_costs_no_row(place: Place) -> None:
    place.sandbox.script(
        Trouble(status=429, headers={"Retry-After": "3600"}, body={"message": "x"}, method="POST")
    )
    summary = await place.bulk.create_leads(rows(5))
    assert counted(summary) == (5, 0, 0, 0, 0, 0)
    assert place.clock.monotonic() > 3600


async def test_what_is_no_error_of_ours_ends_the_job_and_leaves_a_journal_to_go_on_with(
    place: Place,
) -> None:
    folder = place.folder / "gone"
    folder.mkdir()

    def remove(progress: Progress) -> None:
        if progress.done == progress.total:
            folder.rmdir()

    place.sandbox.script(Trouble(status=422, body={"message": "no"}, method="POST"))
    with pytest.raises(FileNotFoundError):
        await place.bulk.upsert_leads(
            rows(3), journal=place.journal, failures=folder / "failed.csv", on_progress=remove
        )
    assert (await place.bulk.upsert_leads(rows(3), journal=place.journal)).requests == 1


class BrokenLimiter:
    """Somebody's own limiter, with a bug that shows when the first row is sent."""

    rates = (RateLimit(60, 60.0),)

    def __init__(self) -> None:
        self.calls = 0

    async def acquire(
        self, lane: Lane, *, max_wait: float | None = None, requeued: bool = False
    ) -> Slot:
        self.calls += 1
        if self.calls > 3:
            raise RuntimeError("the limiter broke")
        return Slot(0.0)

    def is_valid(self, slot: Slot) -> bool:
        return True

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        return None

    def budget(self) -> Budget:
        return Budget(60, 60.0, 60, 0, 0, 0.0)

    async def refresh(self) -> None:
        return None


async def test_an_error_that_is_not_ours_is_raised_and_every_row_kept(place: Place) -> None:
    sandbox = Sandbox(0, clock=place.clock)
    async with sandbox_client(sandbox=sandbox, clock=place.clock, limiter=BrokenLimiter()) as odd:
        with pytest.raises(RuntimeError, match="the limiter broke"):
            await odd.bulk.upsert_leads(rows(3), journal=place.journal)
    assert (await place.bulk.upsert_leads(rows(3), journal=place.journal)).created == 3


async def test_a_database_of_something_else_is_left_alone(place: Place) -> None:
    with closing(sqlite3.connect(place.journal)) as other:
        other.execute("CREATE TABLE diary (day TEXT)")
    before = place.journal.read_bytes()
    with pytest.raises(ConfigurationError, match="is not a journal of an import"):
        await place.bulk.upsert_leads(rows(1), journal=place.journal)
    assert place.journal.read_bytes() == before


async def test_a_journal_that_may_only_be_read_is_an_os_error(place: Place) -> None:
    with pytest.raises(OSError, match="journal"):
        await place.bulk.upsert_leads(rows(1), journal=place.folder)


async def test_a_journal_that_cannot_be_written_is_an_os_error(place: Place) -> None:
    (place.folder / "rows.journal-wal").mkdir()
    with pytest.raises(OSError, match="the journal failed"):
        await place.bulk.upsert_leads(rows(1), journal=place.journal)


async def test_a_journal_of_another_format_is_refused_with_the_way_on(place: Place) -> None:
    await place.bulk.upsert_leads(rows(1), journal=place.journal)
    with closing(sqlite3.connect(place.journal)) as older:
        older.execute("UPDATE meta SET value = '1' WHERE name = 'version'")
        older.commit()
    with pytest.raises(ConfigurationError, match=r"format '1' of another version.*finish the"):
        await place.bulk.upsert_leads(rows(1), journal=place.journal)
    assert place.posts == 1


async def test_a_journal_is_forgotten_where_the_run_is_to_start_again(place: Place) -> None:
    sent = rows(3)
    await place.bulk.upsert_leads(sent, journal=place.journal)
    assert (await place.bulk.upsert_leads(sent, journal=place.journal)).requests == 0
    again = await place.bulk.upsert_leads(sent, journal=place.journal, resume=False)
    assert (counted(again), again.requests > 0) == ((0, 0, 3, 0, 0, 0), True)
    other = await place.bulk.upsert_leads(rows(5), journal=place.journal, resume=False)
    assert other.total == 5
