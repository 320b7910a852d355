"""Updates on a server that wants a lead's name, pipeline and stage with each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncro_async.testing import FakeClock
from tests.bulk.importing.raw_server import RawServer

ALL = ("name", "pipeline_id", "stage_id")
BRIEF = ("id", "name", "stage_id")
HOME = {"pipeline_id": 1, "stage_id": 4}
MOVED = {"name": "Renamed", "pipeline_id": 2, "stage_id": 10}


class Strict(RawServer):
    """A server that wants these fields also for a lead that exists.

    - `shows`: the fields of a lead that is asked for by its id, None for all of them
    - `one_by_one`: it names only the first field that is missing
    - `may_read_pipelines`: whether the key has the permission
    - `refuses`: it refuses everything
    - `before`: called before each request with its method, path and body
    - `after`: called after the answer to each request with its method and path
    """

    def __init__(
        self,
        wants: Sequence[str] = ALL,
        *,
        shows: Sequence[str] | None = None,
        one_by_one: bool = False,
    ) -> None:
        super().__init__(FakeClock(), folds=False)
        self.wants, self.shows, self.one_by_one = wants, shows, one_by_one
        self.may_read_pipelines = True
        self.refuses = False
        self.before: Callable[[str, str, dict[str, Any]], object] = lambda *_: None
        self.after: Callable[[str, str], object] = lambda *_: None

    def add_people(self, count: int) -> None:
        for number in range(1, count + 1):
            phone = f"+551199999{number:04}"
            self.add(name=f"N{number}", email=f"e{number}@x.y", phone=phone, notes="old")

    def of(self, lead_id: int) -> list[tuple[str, dict[str, Any]]]:
        """The requests about one lead and about the pipelines, in their order."""
        return [
            (f"{method} {path}", body)
            for method, path, body in self.requests
            if path in {f"/leads/{lead_id}", "/pipelines"} or body.get("email") == f"e{lead_id}@x.y"
        ]

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else {}
        path = request.url.path.removeprefix("/api/v1")
        self.before(request.method, path, body)
        answer = await super()._handle(request)
        self.after(request.method, path)
        return answer

    def _upsert(self, body: dict[str, Any]) -> httpx.Response:
        missing = ["notes"] if self.refuses else [name for name in self.wants if name not in body]
        if not missing:
            return super()._upsert(body)
        if self.one_by_one:
            del missing[1:]
        errors = {name: [f"The {name} field is required."] for name in missing}
        return httpx.Response(422, json={"message": "Required.", "errors": errors})

    def _read(self, path: str, query: dict[str, list[str]]) -> httpx.Response:
        if path == "/pipelines":
            if not self.may_read_pipelines:
                return httpx.Response(403, json={"message": "no", "required_permission": "x"})
            found = [{"id": 1, "stages": [{"id": 4}]}, {"id": 2, "stages": [{"id": 10}]}]
            return self._answer({"pipelines": found, "lost_reasons": []})
        answer = super()._read(path, query)
        if not path.startswith("/leads/") or self.shows is None or answer.status_code != 200:
            return answer
        lead = answer.json()["lead"]
        return self._answer({"lead": {name: lead[name] for name in self.shows if name in lead}})


def on_first_write(server: Strict, act: Callable[[], object]) -> None:
    """Do it at the first update; the leads were compared by then."""

    def before(_method: str, path: str, _body: dict[str, Any]) -> None:
        if path == "/leads/upsert":
            server.before = lambda *_: None
            act()

    server.before = before


def rows_for(count: int) -> list[dict[str, Any]]:
    return [{"email": f"e{number}@x.y", "notes": "new"} for number in range(1, count + 1)]


OBJECTS = ("id", "name", "stage", "pipeline")


@pytest.mark.parametrize(
    ("shows", "reads"),
    [
        (None, ["GET /leads/3"]),
        (OBJECTS, ["GET /leads/3"]),
        # A stage belongs to one pipeline, which is asked for once; the lead is then read again.
        (BRIEF, ["GET /leads/3", "GET /pipelines", "GET /leads/3"]),
    ],
)
async def test_a_lead_that_is_moved_during_the_import_stays_where_it_is(
    shows: Sequence[str] | None, reads: list[str]
) -> None:
    server = Strict(shows=shows)
    server.add_people(3)
    moved = MOVED | {"stage": {"id": 10}, "pipeline": {"id": 2}}
    if shows == OBJECTS:
        for lead in server.leads.values():
            lead |= {"stage": {"id": 4}, "pipeline": {"id": 1}}
    on_first_write(server, lambda: server.leads[3].update(moved))
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads(rows_for(3), canary=1)
    assert (summary.updated, summary.created, summary.failed) == (3, 0, 0)
    body = {"email": "e3@x.y", "notes": "new", "match_by": "email"}
    assert server.of(3) == [*((read, {}) for read in reads), ("POST /leads/upsert", MOVED | body)]
    assert {name: server.leads[3][name] for name in MOVED} == MOVED
    assert [(server.leads[n]["name"], server.leads[n]["stage_id"]) for n in (1, 2)] == [
        ("N1", 4),
        ("N2", 4),
    ]


@pytest.mark.parametrize(("stops", "kept"), [(1, True), (9, False)])
async def test_a_lead_is_read_again_when_the_process_was_stopped_after_its_reading(
    stops: int, *, kept: bool
) -> None:
    server = Strict()
    server.add_people(2)
    left = stops

    def stop(method: str, path: str) -> None:
        nonlocal left
        if (method, path) == ("GET", "/leads/2") and left:
            left -= 1
            server.clock._now += 5.0
            server.leads[2] |= MOVED | {"name": f"Renamed {stops - left}"}

    server.after = stop
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads(rows_for(2), canary=1)
    assert (summary.updated, summary.failed) == (2, 0)
    # No more than two readings, because each takes a slot of the budget.
    assert [what for what, _ in server.of(2)] == ["GET /leads/2"] * 2 + ["POST /leads/upsert"]
    assert server.of(2)[-1][1]["name"] == "Renamed 1"
    assert (server.leads[2]["name"], left) == ("Renamed 1", stops - (1 if kept else 2))


async def test_a_lead_is_read_again_when_a_busy_server_delays_its_update() -> None:
    busy = 3

    class Busy(Strict):
        def _upsert(self, body: dict[str, Any]) -> httpx.Response:
            nonlocal busy
            if "name" not in body or not busy:
                return super()._upsert(body)
            busy -= 1
            self.leads[1] |= {"name": f"Renamed {3 - busy}"}
            return httpx.Response(503, headers={"Retry-After": "5"})

    server = Busy()
    server.add_people(1)
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads(rows_for(1))
    assert (summary.updated, summary.failed, busy) == (1, 0, 0)
    reads = [number for number, (what, _) in enumerate(server.of(1)) if what == "GET /leads/1"]
    assert len(reads) == 2


async def test_only_what_the_server_wants_is_repeated() -> None:
    server = Strict(wants=("name",), shows=BRIEF)
    server.add_people(2)
    async with server.client() as syncro:
        await syncro.bulk.upsert_leads(rows_for(2), canary=1)
    body = {"name": "N2", "email": "e2@x.y", "notes": "new", "match_by": "email"}
    assert server.of(2) == [("GET /leads/2", {}), ("POST /leads/upsert", body)]


async def test_a_server_that_names_one_field_after_the_other_gets_them_all() -> None:
    server = Strict(one_by_one=True)
    server.add_people(1)
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads(rows_for(1))
    assert summary.updated == 1
    sent = [set(body) - {"email", "notes", "match_by"} for body in server.posts("/leads/upsert")]
    assert sent == [set(), {"name"}, {"name", "pipeline_id"}, set(ALL)]


async def test_a_row_that_changes_all_of_them_needs_no_reading() -> None:
    server = Strict()
    server.add_people(2)
    rows: list[dict[str, Any]] = [{"email": "e1@x.y", "notes": "new"}]
    rows.append({"email": "e2@x.y", "name": "Two", "pipeline_id": 2, "stage_id": 10})
    async with server.client() as syncro:
        await syncro.bulk.upsert_leads(rows, canary=1, allow_sales=True)
    assert [path for path, _ in server.of(2)] == ["POST /leads/upsert"]


async def test_the_leads_are_read_one_at_a_time_and_right_before_their_updates() -> None:
    server = Strict()
    server.add_people(30)
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads(rows_for(30), canary=1)
    assert summary.updated == 30
    calls = [(path, body.get("email")) for _, path, body in server.requests]
    start = calls.index(("/leads/2", None))
    writes = [at for at in range(start, len(calls)) if calls[at][0] == "/leads/upsert"]
    assert len(writes) == 29
    for at in writes:
        assert calls[at - 1] == (f"/leads/{str(calls[at][1])[1:-4]}", None)
    # The budget was used up between one reading and its update, so that lead was read again.
    assert len(calls) - start == 2 * 29 + 1


@pytest.mark.parametrize(
    ("shows", "may_read_pipelines", "hidden", "advice"),
    [
        (("id", "stage_id"), True, "name", "change this lead in Syncro itself"),
        (("id", "name"), True, "pipeline_id and stage_id", "change this lead in Syncro itself"),
        ((), True, "name and pipeline_id and stage_id", "change this lead in Syncro itself"),
        (BRIEF, False, "pipeline_id", "with the permission pipelines:read the import finds"),
    ],
)
async def test_what_is_not_shown_is_not_guessed(
    tmp_path: Path, shows: Sequence[str], hidden: str, advice: str, *, may_read_pipelines: bool
) -> None:
    server = Strict(shows=shows)
    server.may_read_pipelines = may_read_pipelines
    server.add_people(1)
    on_first_write(server, lambda: server.leads[1].update(MOVED))
    async with server.client() as syncro:
        report = tmp_path / "report.jsonl"
        summary = await syncro.bulk.upsert_leads(rows_for(1), canary=0, report=report)
    assert (summary.updated, summary.failed) == (0, 1)
    (group,) = summary.reasons
    assert group.reason == (
        f"lead … was not changed: the server wants {hidden} with each update, and does not show"
        " what the lead has now"
    )
    assert f"(advice: {advice}" in report.read_text(encoding="utf-8")
    assert len(server.posts("/leads/upsert")) == 1


async def test_nothing_of_another_lead_is_written_when_the_server_shows_that_one() -> None:
    class Confused(Strict):
        def _read(self, path: str, query: dict[str, list[str]]) -> httpx.Response:
            return super()._read("/leads/2" if path == "/leads/3" else path, query)

    server = Confused(shows=BRIEF)
    server.add_people(3)
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads(rows_for(3), match_by="email")
    assert (summary.updated, summary.failed) == (2, 1)
    (group,) = summary.reasons
    assert group.lines == (3,)
    assert group.reason == "the server showed lead … when lead … was asked for"
    assert [lead["name"] for lead in server.leads.values()] == ["N1", "N2", "N3"]


async def test_a_lead_whose_key_was_changed_is_not_created_again(tmp_path: Path) -> None:
    server = Strict()
    server.add_people(2)
    on_first_write(server, lambda: server.leads[2].update(email="other@x.y"))
    async with server.client() as syncro:
        report = tmp_path / "report.jsonl"
        summary = await syncro.bulk.upsert_leads(rows_for(2), canary=1, report=report)
    assert (summary.updated, summary.created, summary.failed) == (1, 0, 1)
    assert len(server.leads) == 2
    error = json.loads(report.read_text(encoding="utf-8").splitlines()[1])["error"]
    assert error == (
        "lead 2 was not changed: its email, by which the server finds it, was e2@x.y and is"
        " other@x.y now (advice: import the row again with a new journal, so that it is compared"
        " with the lead of now)"
    )


async def test_a_key_that_is_spelled_otherwise_now_is_sent_so() -> None:
    server = Strict()
    server.add_people(2)
    rows = [{"phone": f"+551199999000{number}", "notes": "new"} for number in (1, 2)]
    on_first_write(server, lambda: server.leads[2].update(phone="(11) 99999-0002"))
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads(rows, canary=1)
    assert (summary.updated, summary.created) == (2, 0)
    assert server.posts("/leads/upsert")[-1]["phone"] == "(11) 99999-0002"


@pytest.mark.parametrize("shows", [None, BRIEF])
async def test_later_rows_of_a_new_lead_repeat_what_it_has_now(shows: Sequence[str] | None) -> None:
    server = Strict(shows=shows)
    rows = [
        {"name": "Eva", "email": "e1@x.y", "notes": "a"},
        {"email": "e1@x.y", "notes": "b"},
        {"email": "e1@x.y", "notes": "c"},
    ]

    def before(_method: str, path: str, body: dict[str, Any]) -> None:
        if path == "/leads/upsert" and body["notes"] == "c":
            server.before = lambda *_: None
            server.leads[1].update(MOVED)

    server.before = before
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads(rows, defaults=HOME)
    assert (summary.created, summary.updated, summary.failed) == (1, 2, 0)
    lead = server.leads[1]
    # The change came between the reading and the update of the last row.
    assert (lead["name"], lead["stage_id"], lead["notes"]) == ("Eva", 4, "c")
    server.leads[1].update(MOVED)
    async with server.client() as syncro:
        again = [rows[0] | {"notes": "d"}, {"email": "e1@x.y", "notes": "e"}]
        again[0].pop("name")
        await syncro.bulk.upsert_leads(again, defaults=HOME)
    assert {name: server.leads[1][name] for name in MOVED} == MOVED


async def test_a_run_that_continues_repeats_what_the_leads_have_now(tmp_path: Path) -> None:
    server = Strict(shows=BRIEF)
    server.add_people(2)
    server.refuses = True
    async with server.client() as syncro:
        first = await syncro.bulk.upsert_leads(rows_for(2), canary=0, journal=tmp_path / "j")
        assert first.failed == 2
        server.refuses = False
        server.leads[2].update(MOVED)
        second = await syncro.bulk.upsert_leads(rows_for(2), canary=0, journal=tmp_path / "j")
    assert (second.updated, second.failed) == (2, 0)
    assert {name: server.leads[2][name] for name in MOVED} == MOVED


# ------------------------------------------------------------------ taking an import back


KEY_CHANGED = (
    "lead 1 was not changed: its email, by which the server finds it, was e1@x.y and is"
    " other@x.y now"
)


async def undone(
    server: Strict, folder: Path, act: Callable[[], object]
) -> list[tuple[int, str, str | None]]:
    """Import two rows, take the import back, and do something at the first update of that."""
    report = folder / "report.jsonl"
    async with server.client() as syncro:
        await syncro.bulk.upsert_leads(rows_for(2), canary=1, report=report)
        on_first_write(server, act)
        done = await syncro.bulk.undo_import(report)
    return [(row.line, row.what, row.reason) for row in done.rows]


@pytest.mark.parametrize("shows", [None, BRIEF])
async def test_a_lead_that_is_moved_during_the_undo_stays_where_it_is(
    tmp_path: Path, shows: Sequence[str] | None
) -> None:
    server = Strict(shows=shows)
    server.add_people(2)
    # The last lead comes first.
    rows = await undone(server, tmp_path, lambda: server.leads[1].update(MOVED))
    assert rows == [(1, "restored", None), (2, "restored", None)]
    assert server.leads[1].items() >= (MOVED | {"notes": "old"}).items()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"notes": "of a colleague"}, "notes has changed while leads were restored"),
        ({"email": "other@x.y"}, KEY_CHANGED),
    ],
)
async def test_a_lead_that_is_changed_during_the_undo_is_kept(
    tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    server = Strict()
    server.add_people(2)
    rows = await undone(server, tmp_path, lambda: server.leads[1].update(changed))
    assert rows == [(1, "kept", reason), (2, "restored", None)]
    assert server.leads[1].items() >= ({"notes": "new"} | changed).items()
    assert len(server.leads) == 2
