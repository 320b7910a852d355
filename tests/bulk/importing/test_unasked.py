"""What an import must never do: change another lead, a lead twice, or a file of the user."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncro_async import BadRowsError, ImportStoppedError, InvalidArgumentError
from syncro_async.testing import FakeClock
from tests.bulk.importing.raw_server import RawServer

HOME = {"pipeline_id": 1, "stage_id": 4}
WON = 5


@pytest.fixture
def server() -> RawServer:
    return RawServer(FakeClock())


@pytest.fixture
def plain() -> RawServer:
    """A server that stores what it is sent."""
    return RawServer(FakeClock(), folds=False)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_second_row_of_a_new_lead_is_sent_with_the_key_as_it_is_stored(
    server: RawServer,
) -> None:
    rows = [
        {"name": "Ana", "phone": "(11) 99999-0001", "value": 1},
        {"name": "Ana Prado", "phone": "11 99999-0001", "value": 2},
    ]
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads(rows, defaults=HOME, locale="pt-BR")
    assert (summary.created, summary.updated) == (1, 1)
    (lead,) = server.leads.values()
    assert (lead["name"], lead["phone"], lead["value"]) == ("ANA PRADO", "5511999990001", 2)


async def test_the_ids_of_another_program_are_no_leads_of_ours(plain: RawServer) -> None:
    maria = plain.add(name="Maria", email="maria@x.y", phone="+5511999990001")
    before = dict(maria)
    async with plain.client() as syncro:
        with pytest.raises(BadRowsError) as caught:
            await syncro.bulk.upsert_leads(
                [{"id": 1, "name": "João", "email": "joao@x.y"}], defaults=HOME
            )
    assert plain.leads == {1: before}
    (problem,) = caught.value.problems
    assert problem.text.startswith("id 1 is that of lead 1 (Maria, maria@x.y, +5511999990001), ")
    assert "ignore" in (problem.advice or "")


@pytest.mark.parametrize("others", [{}, {"email": "", "phone": None}])
async def test_an_id_and_another_name_are_no_proof_of_a_lead(
    plain: RawServer, others: dict[str, Any]
) -> None:
    ana = plain.add(name="Ana Prado", email="ana@x.y", phone="+5511999990001")
    before = dict(ana)
    row = {"id": 1, "name": "Carlos Souza", "notes": "x", **others}
    async with plain.client() as syncro:
        with pytest.raises(BadRowsError) as caught:
            await syncro.bulk.upsert_leads([row], defaults=HOME)
        assert plain.leads == {1: before}
        (problem,) = caught.value.problems
        assert problem.text.startswith(
            "id 1 is that of lead 1 (Ana Prado, ana@x.y, +5511999990001); the row has the name"
            " Carlos Souza, and no email or phone to show that the ids are those of this account"
        )
        advice = problem.advice or ""
        assert advice.startswith("to change the name, give the row the lead's email or phone,")
        assert "ignore" in advice
        # What the advice says: the file has a key that is the lead's.
        summary = await syncro.bulk.upsert_leads([row | {"email": "ana@x.y"}])
    assert (summary.updated, plain.leads[1]["name"]) == (1, "Carlos Souza")


async def test_a_lead_without_a_key_is_refused_for_that_reason(plain: RawServer) -> None:
    plain.add(name="Ana Prado")
    async with plain.client() as syncro:
        with pytest.raises(BadRowsError, match="lead 1 cannot be changed: the server finds a lead"):
            await syncro.bulk.upsert_leads([{"id": 1, "name": "Carlos Souza"}])


@pytest.mark.parametrize("name", ["ana  prado", "ANA PRADO", "Ana Prado", None])
async def test_an_id_and_the_name_of_its_lead_need_no_key(
    plain: RawServer, name: str | None
) -> None:
    """Capitals and spaces make no other name."""
    plain.add(name="Ana Prado", email="ana@x.y")
    async with plain.client() as syncro:
        summary = await syncro.bulk.upsert_leads([{"id": 1, "name": name, "notes": "x"}])
    assert (summary.updated, plain.leads[1]["notes"]) == (1, "x")
    assert plain.leads[1]["name"] == (name or "Ana Prado")


@pytest.mark.parametrize("edited", [(0,), (1,), (0, 1)])
async def test_leads_that_share_a_phone_change_only_where_their_rows_do(
    plain: RawServer, edited: tuple[int, ...]
) -> None:
    for name in ("a", "b"):
        plain.add(name=name, email=f"{name}@x.y", phone="(11) 99999-0001", value=1.0)
    async with plain.client() as syncro:
        rows: list[dict[str, Any]] = [
            {"id": lead.id, "name": lead.name, "email": lead.email, "phone": lead.phone, "value": 1}
            for lead in await syncro.leads.list().collect()
        ]
        for at in edited:
            rows[at]["value"] = 9
        summary = await syncro.bulk.upsert_leads(rows, locale="pt-BR")
    assert (summary.updated, summary.unchanged) == (len(edited), 2 - len(edited))
    emails = [f"{'ab'[at]}@x.y" for at in edited]
    sent = [{"value": 9, "email": email, "match_by": "email"} for email in emails]
    assert plain.posts("/leads/upsert") == sent


async def test_a_lead_that_was_deleted_meanwhile_is_not_called_updated(plain: RawServer) -> None:
    plain.add(name="Ana", email="ana@x.y", stage_id=WON)
    async with plain.client() as syncro:
        rows = [{"name": "Ana Prado", "email": "ana@x.y", **HOME}]
        on_progress = lambda _: plain.leads.clear()  # noqa: E731  # after the leads were read
        summary = await syncro.bulk.upsert_leads(rows, on_progress=on_progress)
    assert (summary.created, summary.updated) == (1, 0)


class Shifting(RawServer):
    """A server whose leads are deleted and created at the moments that a test chooses."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(FakeClock(), folds=False, page_size=10, **{"dates": "iso"} | settings)
        self.before_page: dict[int, Callable[[], object]] = {}
        self.pages = 0
        self.uncounted = 0

    def _read(self, path: str, query: dict[str, list[str]]) -> httpx.Response:
        if path == "/leads":
            self.pages += 1
            self.before_page.pop(self.pages, lambda: None)()
        answer = super()._read(path, query)
        if path != "/leads" or not self.uncounted:
            return answer
        body = answer.json()
        body["meta"]["total"] += self.uncounted
        return httpx.Response(200, json=body, headers=answer.headers)

    def add_old(self, count: int) -> None:
        for number in range(count):
            lead = self.add(name=f"L{number}", email=f"l{number}@x.y", stage_id=WON)
            lead["at"] -= 30 * 86_400

    def swap(self) -> None:
        """Delete the first lead, and create one: the server counts as many leads as before."""
        del self.leads[min(self.leads)]
        self.add(name="New", email="new@x.y", stage_id=WON)


@pytest.mark.parametrize("at", range(2, 14))
@pytest.mark.parametrize("count", [30, 95])
async def test_a_lead_is_found_also_when_others_are_deleted(count: int, at: int) -> None:
    server = Shifting()
    server.add_old(count)
    server.before_page = {at: server.swap}
    rows = [{"name": f"L{n}", "email": f"l{n}@x.y", "value": n} for n in range(1, count)]
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads(rows, defaults=HOME, canary=0)
    assert (summary.created, summary.updated) == (0, count - 1)
    assert {lead["stage_id"] for lead in server.leads.values()} == {WON}


async def test_a_long_list_of_old_leads_is_read_once() -> None:
    server = Shifting()
    server.add_old(95)
    rows = [{"id": 7, "value": 1}]
    async with server.client() as syncro:
        await syncro.bulk.upsert_leads(rows, dry_run=True)
    assert server.pages == 10 + 3


async def test_a_young_part_that_seems_to_leave_a_gap_begins_earlier() -> None:
    server = Shifting()
    server.add_old(95)
    young = server.add(name="Y", email="y@x.y")
    server.before_page = {12: lambda: server.leads.pop(young["id"])}
    async with server.client() as syncro:
        await syncro.bulk.upsert_leads([{"id": 7, "value": 1}], dry_run=True)
    assert server.pages == 10 + 3 + 2


@pytest.mark.parametrize("settings", [{"tells_time": False}, {"dates": "zero"}])
async def test_a_list_without_the_dates_for_one_reading_is_read_twice(
    settings: dict[str, Any],
) -> None:
    server = Shifting(**settings)
    server.add_old(95)
    async with server.client() as syncro:
        await syncro.bulk.upsert_leads([{"id": 7, "value": 1}], dry_run=True)
    assert server.pages == 2 * 10


async def test_a_young_part_that_never_comes_to_rest_is_no_proof() -> None:
    server = Shifting()
    server.add_old(80)
    for number in range(15):
        server.add(name=f"Y{number}", email=f"y{number}@x.y")

    def swap_young() -> None:
        del server.leads[min(number for number in server.leads if number > 80)]
        server.add(name="Y", email="y@x.y")

    server.before_page = dict.fromkeys(range(10, 2 + 8 + 16), swap_young)
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads([{"id": 7, "value": 1}], dry_run=True)
    assert summary.updated == 1
    assert server.pages > 1 + 8 + 12 + 10


async def test_a_server_that_counts_leads_which_it_does_not_list(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Shifting()
    server.add_old(30)
    server.uncounted = 2
    async with server.client() as syncro:
        rows = [{"name": "L9", "email": "l9@x.y", "value": 1}, {"id": 12, "value": 2}]
        summary = await syncro.bulk.upsert_leads(rows, dry_run=True)
    assert (summary.created, summary.updated) == (0, 2)
    assert "counts other leads than it lists" in caplog.text


async def test_a_search_that_never_comes_to_rest_stops_the_import() -> None:
    server = Shifting(search_lag=0.0)
    server.add_old(300)

    def swap_found() -> None:
        found = [number for number, lead in server.leads.items() if "9@x.y" in lead["email"]]
        del server.leads[found[0]]
        server.add(name="Nine", email="n9@x.y")

    server.before_page = dict.fromkeys(range(2, 100), swap_found)
    async with server.client() as syncro:
        with pytest.raises(ImportStoppedError, match="may have been missed"):
            await syncro.bulk.upsert_leads([{"name": "L", "email": "9@x.y"}], defaults=HOME)


async def test_a_key_that_an_earlier_row_changes_finds_no_lead(plain: RawServer) -> None:
    plain.add(name="Ana", email="ana@x.y", phone="+5511999990001")
    rows = [
        {"id": 1, "name": "Ana", "email": "nova@x.y", "phone": "+5511999990001"},
        {"email": "ana@x.y", "name": "Ana", "value": 3},
    ]
    async with plain.client() as syncro:
        with pytest.raises(BadRowsError, match="an earlier row changes the email of lead 1"):
            await syncro.bulk.upsert_leads(rows)
    assert plain.posts("/leads/upsert") == []


async def test_a_list_that_never_comes_to_rest_stops_the_import() -> None:
    server = Shifting()
    server.add_old(30)
    server.before_page = dict.fromkeys(range(2, 100), server.swap)
    async with server.client() as syncro:
        with pytest.raises(ImportStoppedError, match="may have been missed"):
            await syncro.bulk.upsert_leads(
                [{"name": "L9", "email": "l9@x.y", "value": 1} | {"id": 10}], defaults=HOME
            )
    assert server.posts("/leads/upsert") == []


async def test_rows_of_one_lead_are_taken_back_together(plain: RawServer, tmp_path: Path) -> None:
    plain.add(name="Ana", email="ana@x.y", phone="+5511999990009", value=100.0)
    before = dict(plain.leads[1])
    rows = [
        {"name": "Ana P", "email": "ana@x.y", "value": 200},
        {"name": "Ana P Prado", "email": "ana@x.y"},
        {"name": "Novo", "email": "novo@x.y"},
        {"name": "Novo Dois", "email": "novo@x.y"},
    ]
    report = tmp_path / "report.jsonl"
    async with plain.client() as syncro:
        await syncro.bulk.upsert_leads(rows, defaults=HOME, report=report)
        lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
        assert lines[1]["changes"] == {"name": ["Ana P", "Ana P Prado"]}
        assert lines[3]["changes"] == {"name": ["Novo", "Novo Dois"]}
        done = await syncro.bulk.undo_import(report)
    assert [(row.line, row.what, row.reason) for row in done.rows] == [
        (1, "restored", None),
        (3, "deleted", None),
    ]
    assert plain.leads == {1: before}
    # Only what the import changed is written: somebody may move the lead meanwhile.
    assert plain.posts("/leads/upsert")[-1].keys() == {"name", "value", "email", "match_by"}


async def test_a_new_lead_that_was_moved_since_is_kept(plain: RawServer, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    async with plain.client() as syncro:
        rows = [{"name": "Ana", "email": "ana@x.y"}]
        await syncro.bulk.upsert_leads(rows, defaults=HOME, report=report)
        plain.leads[1]["stage_id"] = WON
        done = await syncro.bulk.undo_import(report)
    assert [row.what for row in done.rows] == ["kept"]
    assert list(plain.leads) == [1]


@pytest.mark.parametrize(
    "files",
    [
        {"failures": "a.jsonl", "report": "a.jsonl"},
        {"failures": "rows.jsonl"},
        {"report": "rows.jsonl"},
        {"journal": "rows.jsonl"},
        {"journal": "a.jsonl", "report": "sub/../a.jsonl"},
    ],
)
async def test_every_file_has_a_name_of_its_own(
    plain: RawServer, tmp_path: Path, files: dict[str, str]
) -> None:
    (tmp_path / "sub").mkdir()
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"name": "Ana", "email": "ana@x.y"}\n', encoding="utf-8")
    before = rows.read_bytes()
    paths: dict[str, Any] = {name: tmp_path / file for name, file in files.items()}
    async with plain.client() as syncro:
        with pytest.raises(InvalidArgumentError, match="must not be the file of the"):
            await syncro.bulk.upsert_leads(rows, defaults=HOME, **paths)
    assert rows.read_bytes() == before
    assert (plain.requests, names_in(tmp_path)) == ([], ["rows.jsonl", "sub"])


async def test_a_report_that_cannot_be_written_is_known_before_the_first_row(
    plain: RawServer, tmp_path: Path
) -> None:
    async with plain.client() as syncro:
        with pytest.raises(FileNotFoundError):
            await syncro.bulk.upsert_leads(
                [{"name": "Ana", "email": "ana@x.y"}],
                defaults=HOME,
                report=tmp_path / "none" / "report.jsonl",
            )
    assert plain.requests == []


async def test_the_report_of_another_import_is_left_alone(plain: RawServer, tmp_path: Path) -> None:
    """Also by an import that was begun without a report."""
    report, journal = tmp_path / "report.jsonl", tmp_path / "journal"
    async with plain.client() as syncro:
        ana, beto = ({"name": name, "email": f"{name}@x.y"} for name in ("ana", "beto"))
        await syncro.bulk.upsert_leads([ana], defaults=HOME, report=report)
        before = report.read_bytes()
        await syncro.bulk.upsert_leads([beto], defaults=HOME, journal=journal)
        with pytest.raises(ValueError, match="this import has not written it"):
            await syncro.bulk.upsert_leads([beto], defaults=HOME, journal=journal, report=report)
    assert report.read_bytes() == before


@pytest.mark.parametrize(("name", "created"), [("Ana", 0), ("Beto", 1)])
async def test_a_lead_whose_address_the_server_has_shortened_is_found_by_its_name_too(
    server: RawServer, name: str, created: int
) -> None:
    """Another name may be another person, and a new lead."""
    server.add(name="Ana", email="ana+feira@x.y", stage_id=WON, tags=["vip"], value=1)
    rows = [{"name": name, "email": "ana+feira@x.y", "value": 2}]
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads(rows, defaults=HOME)
    assert (summary.created, summary.updated) == (created, 1 - created)
    assert (server.leads[1]["stage_id"], server.leads[1]["value"]) == (WON, 1 + (not created))


@pytest.mark.parametrize(
    ("stored", "cell", "writes"),
    [
        ("0012", 12, 0),
        ("0012", "12", 0),
        ("1.50", "1,5", 0),
        ("+5511", 5511, 0),
        ("0012", "13", 1),
        ("0012", "0013", 1),
        ("12", "0012", 1),
        ("0012 A", "12", 1),
    ],
)
async def test_a_number_that_a_spreadsheet_makes_of_a_text_is_no_edit(
    plain: RawServer, stored: str, cell: Any, writes: int
) -> None:
    """What LibreOffice saves of an exported .csv file that was opened as it is."""
    plain.add(name="Ana", email="ana@x.y", source=stored)
    async with plain.client() as syncro:
        row: dict[str, Any] = {"id": 1, "name": "Ana", "email": "ana@x.y", "source": cell}
        await syncro.bulk.upsert_leads([row])
        assert len(plain.posts("/leads/upsert")) == writes
        if not writes:  # a file without ids is no export: the cell is what its writer wants
            del row["id"]
            assert (await syncro.bulk.upsert_leads([row], dry_run=True)).updated == 1
