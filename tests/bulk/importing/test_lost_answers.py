"""Imports whose answers are lost: each row is at the server once, or in doubt."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncro_async import AsyncClient, AuthenticationError, ImportStoppedError, ImportSummary
from syncro_async.bulk.importing.matching import Person, is_made_of, stored_email, stored_phone
from syncro_async.bulk.importing.reading import is_proved, person_of
from syncro_async.bulk.importing.reconcile import Lost, Verdict, decide
from syncro_async.sandbox import Sandbox, Trouble
from syncro_async.testing import FakeClock, sandbox_client
from tests.bulk.event_loop_turns import until
from tests.bulk.importing.raw_server import DOWN, Fate, RawServer

HOME = {"pipeline_id": 1, "stage_id": 4}
ANA = {
    "name": " Ana  Prado",
    "email": "Ana+Promo@Exemplo.com",
    "phone": "+55 11 99999-0001",
    **HOME,
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> RawServer:
    return RawServer(clock)


def counted(summary: ImportSummary) -> tuple[int, ...]:
    """Created, updated, failed, in doubt, unsent."""
    s = summary
    return s.created, s.updated, s.failed, s.in_doubt, s.unsent


def row(number: int, **more: Any) -> dict[str, Any]:
    name = f"Lead {number}"
    return {"name": name, "email": f"L{number}+x@Example.com", **HOME, **more}


# ------------------------------------------------------------------ what the server may change


@pytest.mark.parametrize("fate", ["fine", "lost", "html", "late", "error"])
@pytest.mark.parametrize("dates", ["iso", "zero", "none"])
async def test_a_create_that_was_carried_out_is_not_sent_again(
    clock: FakeClock, fate: Fate, dates: Any
) -> None:
    server = RawServer(clock, dates=dates)
    server.add(name="Ana Prado", email="another@exemplo.com")
    server.fates.append(fate)
    async with server.client() as syncro:
        summary = await syncro.bulk.create_leads([ANA])
    assert counted(summary) == (1, 0, 0, 0, 0)
    assert len(server.posts()) == 1
    assert "ANA PRADO" in server.leads[2]["name"]


@pytest.mark.parametrize("tells_time", [True, False])
@pytest.mark.parametrize("clock_off", [-660.0, 660.0, -400 * 86_400.0, 400 * 86_400.0])
async def test_the_servers_clock_may_be_off(
    clock: FakeClock, clock_off: float, *, tells_time: bool
) -> None:
    server = RawServer(clock, clock_off=clock_off, tells_time=tells_time)
    server.fates.extend(("lost", "never"))
    async with server.client() as syncro:
        summary = await syncro.bulk.create_leads([ANA, row(2)])
    assert counted(summary) == (2, 0, 0, 0, 0)
    assert len(server.leads) == 2


@pytest.mark.parametrize("told_by", [("name", "email"), ("name", "phone"), ("name",)])
async def test_a_row_is_told_by_the_keys_that_it_has(
    server: RawServer, told_by: tuple[str, ...]
) -> None:
    server.add(name="Ana Prado", email="ana@exemplo.com", phone="11999990001")
    server.fates.append("lost")
    async with server.client() as syncro:
        sent = {name: ANA[name] for name in (*told_by, *HOME)}
        summary = await syncro.bulk.create_leads([sent])
    assert counted(summary) == (1, 0, 0, 0, 0)
    assert len(server.posts()) == 1


async def test_a_create_that_was_not_carried_out_is_sent_again_when_that_is_proved(
    server: RawServer,
) -> None:
    server.fates.append("never")
    async with server.client() as syncro:
        summary = await syncro.bulk.create_leads([ANA], server_time_limit=45)
    assert counted(summary) == (1, 0, 0, 0, 0)
    assert [method for method, *_ in server.requests] == ["GET", "GET", "POST", "GET", "POST"]
    assert summary.seconds == 45.0  # until then the server may be working on it
    assert all("q=" not in path for _, path, _ in server.requests)


async def test_an_upsert_is_not_sent_again_before_it_is_known_what_the_first_one_did(
    server: RawServer,
) -> None:
    """The server does not find the lead by the key as it was sent, and would make another one."""
    server.fates.extend(("lost", "never"))
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads([ANA, row(2)])
    assert counted(summary) == (2, 0, 0, 0, 0)
    assert len(server.leads) == 2


async def test_an_answer_with_a_field_that_cannot_be_read_is_an_answer(clock: FakeClock) -> None:
    server = RawServer(clock, dates="zero")
    async with server.client() as syncro:
        assert (await syncro.bulk.create_leads([ANA])).created == 1
    assert [path for _, path, _ in server.requests] == ["/pipelines", "/leads", "/leads"]


async def test_a_row_that_is_lost_every_time_and_never_carried_out_has_failed(
    server: RawServer,
) -> None:
    server.fates.extend(["never"] * 10)
    async with server.client() as syncro:
        summary = await syncro.bulk.create_leads([ANA])
    assert counted(summary) == (0, 0, 1, 0, 0)
    assert len(server.posts()) == 4
    assert summary.reasons[0].reason == "its answer was lost"


async def test_the_reading_goes_on_to_the_last_page(clock: FakeClock) -> None:
    server = RawServer(clock, page_size=2)
    for number in range(5):
        server.add(name=f"Other {number}", email=f"other{number}@example.com")
    server.fates.extend(("lost", "never", "lost"))
    async with server.client() as syncro:
        summary = await syncro.bulk.create_leads([row(1), row(2), row(3)])
    assert counted(summary) == (3, 0, 0, 0, 0)
    assert len(server.leads) == 8


# ------------------------------------------------------------------ other writers


async def test_a_lead_of_another_writer_is_never_taken_for_the_rows_own(server: RawServer) -> None:
    """It was there before, a minute ago, and says the same."""
    server.add(**ANA)
    server.fates.append("never")
    async with server.client() as syncro:
        summary = await syncro.bulk.create_leads([ANA])
    assert counted(summary) == (1, 0, 0, 0, 0)
    assert len(server.posts()) == 2


async def test_two_leads_that_may_be_the_rows_leave_it_in_doubt(server: RawServer) -> None:
    async with server.client() as syncro:
        server.fates.append("lost")
        job = asyncio.create_task(syncro.bulk.create_leads([ANA, row(2)]))
        await until(lambda: server.leads)
        server.add(**ANA)  # another writer, while the row's answer is lost
        summary = await job
    assert counted(summary) == (1, 0, 0, 1, 0)
    ((line, _, reason, *_),) = summary.doubts
    assert line == 1
    assert "lead 1, ANA PRADO, ana@exemplo.com" in reason
    assert len(server.posts()) == 2


async def test_a_lead_with_the_rows_key_and_another_name_leaves_it_in_doubt(
    server: RawServer, tmp_path: Path
) -> None:
    journal, failures = tmp_path / "rows.journal", tmp_path / "left.csv"
    async with server.client() as syncro:
        server.fates.append("never")
        job = asyncio.create_task(
            syncro.bulk.create_leads([ANA], journal=journal, failures=failures)
        )
        await until(server.posts)
        stranger = server.add(name="Bia", email="ana@exemplo.com")
        summary = await job
        assert counted(summary) == (0, 0, 0, 1, 0)
        assert "lead 1, BIA, ana@exemplo.com" in summary.doubts[0].reason
        # Still so in the next run, which sends nothing by itself.
        summary = await syncro.bulk.create_leads([ANA], journal=journal)
        assert counted(summary) == (0, 0, 0, 1, 0)
        assert len(server.posts()) == 1
        # Somebody has found out whose it is, and removed it.
        del server.leads[stranger["id"]]
        summary = await syncro.bulk.create_leads([ANA], journal=journal)
    assert counted(summary) == (1, 0, 0, 0, 0)


async def test_the_later_rows_of_a_lead_in_doubt_are_not_sent(server: RawServer) -> None:
    sent = [row(1), row(1, value=2), row(1, phone="+5511999990001"), row(2)]
    last = {"name": "Lead 1", "phone": "+5511999990001", "value": 3, **HOME}
    async with server.client() as syncro:
        server.fates.append("never")
        job = asyncio.create_task(syncro.bulk.upsert_leads([*sent, last]))
        await until(lambda: server.posts("/leads/upsert"))
        server.add(name="Bia", email="l1@example.com")
        summary = await job
    assert counted(summary) == (1, 0, 0, 4, 0)
    assert [problem.line for problem in summary.doubts] == [1, 2, 3, 5]
    assert "line 1 is about the same lead" in summary.doubts[3].reason


async def test_a_list_that_never_comes_to_rest_proves_nothing(clock: FakeClock) -> None:
    class Restless(RawServer):
        def _read(self, path: str, query: Any) -> httpx.Response:
            if self.posts():
                self.add(name="Other", email=f"other{len(self.leads)}@example.com")
                del self.leads[min(self.leads)]
            return super()._read(path, query)

    server = Restless(clock, page_size=1)
    server.add(name="Other", email="o@example.com")
    server.add(name="Other", email="p@example.com")
    server.fates.append("never")
    async with server.client() as syncro:
        summary = await syncro.bulk.create_leads([ANA])
    assert counted(summary) == (0, 0, 0, 1, 0)
    assert "the list of leads did not come to rest" in summary.doubts[0].reason
    assert len(server.posts()) == 1


# ------------------------------------------------------------------ reads that fail


async def test_a_network_that_is_away_for_a_minute_is_waited_for(server: RawServer) -> None:
    server.fates.extend(("fine", *DOWN * 24, "lost"))
    server.reads.extend(("fine", *DOWN * 24))
    async with server.client() as syncro:
        summary = await syncro.bulk.create_leads([row(1), row(2), row(3)], canary=0)
    assert counted(summary) == (3, 0, 0, 0, 0)
    assert len(server.leads) == 3


async def test_a_network_that_stays_away_stops_the_job(server: RawServer, tmp_path: Path) -> None:
    journal = tmp_path / "rows.journal"
    server.fates.extend(("fine", *DOWN * 4000))
    sent = [row(number) for number in range(30)]
    async with server.client() as syncro:
        with pytest.raises(ImportStoppedError, match="no route to host") as caught:
            await syncro.bulk.create_leads(sent, canary=0, max_outage=60, journal=journal)
        assert counted(caught.value.summary) == (1, 0, 0, 0, 29)
        server.fates.clear()
        summary = await syncro.bulk.create_leads(sent, journal=journal)
    assert counted(summary) == (30, 0, 0, 0, 0)
    assert len(server.leads) == 30


async def test_a_server_that_was_never_reached_is_a_wrong_address(clock: FakeClock) -> None:
    async with AsyncClient("key", base_url="http://127.0.0.1:9/api/v1", clock=clock) as syncro:
        with pytest.raises(ImportStoppedError, match=r"127\.0\.0\.1") as caught:
            await syncro.bulk.create_leads([ANA])
        assert counted(caught.value.summary) == (0, 0, 0, 0, 1)
        with pytest.raises(ImportStoppedError, match=r"127\.0\.0\.1"):
            await syncro.bulk.create_leads([ANA], allow_sales=True)


@pytest.mark.parametrize("status", [404, 401, 500, 302])
async def test_rows_that_cannot_be_looked_for_are_decided_by_a_later_run(
    clock: FakeClock, tmp_path: Path, status: int
) -> None:
    sandbox = Sandbox(3, clock=clock)
    journal, failures = tmp_path / "rows.journal", tmp_path / "left.csv"
    sandbox.script(Trouble(method="GET", times=3))
    sandbox.script(Trouble(lose_answer=True, method="POST"))
    sandbox.script(Trouble(status=status, method="GET", times=1000))
    sent = [row(number) for number in range(3)]
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        if status in {404, 302}:
            summary = await syncro.bulk.create_leads(sent, journal=journal)
            assert counted(summary) == (2, 0, 0, 1, 0)
            assert "cannot be read" in summary.doubts[0].reason
        else:
            with pytest.raises(ImportStoppedError) as caught:
                await syncro.bulk.create_leads(sent, journal=journal, failures=failures)
            assert counted(caught.value.summary) == (2, 0, 0, 1, 0)
            if status == 401:
                assert isinstance(caught.value.__cause__, AuthenticationError)
    again = Sandbox(3, clock=clock)
    again.leads.update(sandbox.leads)
    async with sandbox_client(sandbox=again, clock=clock) as syncro:
        summary = await syncro.bulk.create_leads(sent, journal=journal)
    assert counted(summary) == (3, 0, 0, 0, 0)
    assert again.writes == []


async def test_a_key_that_may_not_read_leads_leaves_lost_rows_in_doubt(clock: FakeClock) -> None:
    sandbox = Sandbox(0, clock=clock)
    refusal = {"message": "no", "required_permission": "leads:read"}
    sandbox.script(Trouble(status=403, body=refusal, method="GET", times=99))
    sandbox.script(Trouble(lose_answer=True, method="POST"))
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        summary = await syncro.bulk.create_leads([row(1), row(2)])
    assert counted(summary) == (1, 0, 0, 1, 0)


async def test_without_a_journal_a_row_in_doubt_goes_to_the_failures(
    server: RawServer, tmp_path: Path
) -> None:
    failures = tmp_path / "left.csv"
    async with server.client() as syncro:
        server.fates.append("never")
        job = asyncio.create_task(syncro.bulk.create_leads([ANA], failures=failures))
        await until(server.posts)
        server.add(name="Bia", email="ana@exemplo.com")
        await job
    assert "its answer was lost, and these leads can be its own" in failures.read_text("utf-8")


# ------------------------------------------------------------------ the decisions


def test_rows_that_share_their_leads_have_all_been_carried_out_when_none_is_missing() -> None:
    one, two = Person(1, "Ana", "ana@x.y"), Person(2, "ANA", "ana@x.y")
    rows = [
        Lost(7, {"name": "Ana", "email": "ana+1@x.y"}),
        Lost(8, {"name": "Ana", "email": "ana+2@x.y"}),
    ]
    assert decide(rows, [two, one]) == {7: Verdict(1), 8: Verdict(2)}
    assert decide(rows, [one]) == {7: Verdict(None, (one,)), 8: Verdict(None, (one,))}
    assert decide(rows, []) == {7: Verdict(), 8: Verdict()}


def test_a_lead_that_is_one_rows_own_is_no_other_rows_candidate() -> None:
    ana = Person(1, "Ana", "ana@x.y", "5511999990001")
    rows = [
        Lost(1, {"name": "Ana", "email": "ana@x.y", "phone": "+55 11 99999-0001"}),
        Lost(2, {"name": "Bia", "phone": "+55 11 99999-0001"}),
    ]
    assert decide(rows, [ana]) == {1: Verdict(1), 2: Verdict()}
    assert decide(rows[1:], [ana]) == {2: Verdict(None, (ana,))}


@pytest.mark.parametrize(
    ("person", "fields", "expected"),
    [
        (Person(1, "ANA  prado", "ana@x.y"), {"name": "Ana Prado", "email": "Ana+a@X.y"}, True),
        (Person(1, "Ana", "ana@x.y", None), {"name": "Ana", "phone": "123456789"}, False),
        (Person(1, "Ana", "ana@x.y"), {"email": "ana@x.y"}, True),
        (Person(1, "Bia", "ana@x.y"), {"name": "Ana", "email": "ana@x.y"}, None),
        (Person(1, "Ana", "a@x.y", "9"), {"name": "Ana", "email": "a@x.y", "phone": "8"}, None),
        (Person(1, "Ana"), {"name": "ana"}, True),
        (Person(1, "Ana", "ana@x.y"), {"name": "ana"}, False),
        (Person(1, None, "ana@x.y"), {"name": "Ana", "email": "ana@x.y"}, None),
        (Person(1), {"name": "Ana"}, None),
        (Person(None, "Ana"), {"name": "Ana"}, True),
    ],
)
def test_whether_a_lead_is_made_of_a_row(
    person: Person, fields: dict[str, Any], *, expected: bool | None
) -> None:
    assert is_made_of(person, fields) is expected


def test_a_lead_without_a_readable_id_is_nobodys_own() -> None:
    ana = Person(None, "Ana")
    assert decide([Lost(1, {"name": "Ana"})], [ana]) == {1: Verdict(None, (ana,))}


@pytest.mark.parametrize(
    ("stored", "sent", "expected"),
    [
        ("+5511999990001", "(11) 99999-0001", True),
        ("11999990001", "+55 11 99999-0001", True),
        ("011999990001", "11999990001", True),
        ("5521999990001", "11999990001", False),
        ("440001", "11440001", False),
        ("440001", "44-0001", True),
        ("", "", False),
    ],
)
def test_phones_are_compared_by_the_digits_that_both_have(
    stored: str, sent: str, *, expected: bool
) -> None:
    assert stored_phone(stored, sent) is expected


def test_emails_are_compared_as_servers_store_them() -> None:
    assert stored_email("ana@x.y ", "Ana+promo@X.Y")
    assert not stored_email("ana+promo@x.y", "ana@x.y")
    assert not stored_email("ana+a@x.y", "ana+b@x.y")


@pytest.mark.parametrize(
    ("raw", "person"),
    [
        (b'{"id": "12", "name": "Ana", "email": 5}', Person(12, "Ana", "5")),
        (b'{"id": 12, "name": "A\xff"}', Person(12, "A\ufffd")),
        (b'{"id": "x"}', Person(None)),
        (b'{"id": true}', Person(None)),
        (b"[1]", Person(None)),
        (b"{", Person(None)),
    ],
)
def test_what_can_be_read_of_a_lead_is_read(raw: bytes, person: Person) -> None:
    assert person_of(raw) == person


@pytest.mark.parametrize(
    ("totals", "first", "last", "expected"),
    [
        ([2], {1: 0, 2: 0}, {1: 0, 2: 0}, True),
        ([2, 2], {1: 0, 2: 1}, {1: 0, 2: 1}, False),
        ([2, 2, 2, 2], {1: 0, 2: 1}, {1: 2, 2: 3}, True),
        ([2, 1], {1: 0, 2: 0}, {1: 1, 2: 1}, False),
        ([0], {}, {}, True),
    ],
)
def test_when_a_reading_has_shown_every_lead(
    totals: list[int], first: dict[Any, int], last: dict[Any, int], *, expected: bool
) -> None:
    assert is_proved(totals, first, last) is expected
