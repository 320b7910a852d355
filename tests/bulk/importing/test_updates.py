"""What an import does to leads that exist: nothing that a row does not ask for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from syncro_async import AsyncClient, BadRowsError, ConfigurationError, RowChange
from syncro_async.bulk.importing.matching import same_phone
from syncro_async.bulk.importing.reading import lead_of
from syncro_async.sandbox import (
    LEADS_ONLY_KEY,
    LOST_STAGE_ID,
    WON_LEAD_ID,
    WON_STAGE_ID,
    Sandbox,
    Trouble,
)
from syncro_async.testing import FakeClock
from tests.bulk.importing.raw_server import RawServer

HOME = {"pipeline_id": 1, "stage_id": 4}


class Place:
    """A sandbox, its client, and the bodies of the writes."""

    def __init__(
        self, sandbox: Sandbox, syncro: AsyncClient, bodies: list[tuple[str, dict[str, Any]]]
    ) -> None:
        self.sandbox, self.syncro, self.bulk, self.bodies = sandbox, syncro, syncro.bulk, bodies

    def paths(self) -> list[str]:
        return [path for path, _ in self.bodies]


@asynccontextmanager
async def a_place(leads: int = 20, key: str | None = None, **settings: Any) -> AsyncIterator[Place]:
    clock = FakeClock()
    sandbox = Sandbox(leads, clock=clock, per_minute=10_000, **settings)
    inner = httpx.ASGITransport(sandbox.app)
    bodies: list[tuple[str, dict[str, Any]]] = []

    async def watch(request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            body = json.loads(request.content) if request.content else {}
            bodies.append((f"{request.method} {request.url.path[7:]}", body))
        return await inner.handle_async_request(request)

    transport = httpx.MockTransport(watch)
    async with AsyncClient(
        key or "crm_sandbox_full",
        base_url="http://localhost/api/v1",
        clock=clock,
        transport=transport,
    ) as syncro:
        yield Place(sandbox, syncro, bodies)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with a_place() as it:
        yield it


# ------------------------------------------------------------------ fields


async def test_a_won_customer_stays_where_they_are(place: Place) -> None:
    lead = place.sandbox.leads[WON_LEAD_ID]
    before = dict(lead)
    rows = [{"email": lead["email"], "value": 12.5}, {"name": "New", "email": "new@x.y"}]
    summary = await place.bulk.upsert_leads(rows, defaults={**HOME, "source": "feira"})
    assert (summary.created, summary.updated) == (1, 1)
    assert {**before, "value": 12.5, "updated_at": lead["updated_at"]} == lead
    sent = {body.get("email"): body for _, body in place.bodies}
    assert sent[lead["email"]] == {"email": lead["email"], "value": 12.5, "match_by": "email"}
    assert sent["new@x.y"]["source"] == "feira"


async def test_without_the_comparison_the_defaults_change_existing_leads(place: Place) -> None:
    lead = place.sandbox.leads[WON_LEAD_ID]
    row = {"email": lead["email"], "value": 12.5, "tags": ["novo"]}
    tags = lead["tags"]
    await place.bulk.upsert_leads([row], defaults=HOME, diff=False)
    assert lead["stage_id"] == 4
    assert lead["tags"] == [*tags, "novo"]
    assert place.paths() == ["POST /leads/upsert", f"POST /leads/{WON_LEAD_ID}/tags"]


@pytest.mark.parametrize(("strict", "tries"), [(False, 3), (True, 4)])
async def test_an_update_repeats_what_the_lead_has_where_the_server_wants_it(
    tries: int, *, strict: bool
) -> None:
    async with a_place(strict_upserts=strict) as place:
        leads = [place.sandbox.leads[number] for number in (11, 12, 13)]
        before = [(lead["name"], lead["stage_id"], lead["pipeline_id"]) for lead in leads]
        rows = [{"email": lead["email"], "value": 7.5} for lead in leads]
        summary = await place.bulk.upsert_leads(rows, canary=1)
        assert (summary.updated, summary.failed) == (3, 0)
        after = [(lead["name"], lead["stage_id"], lead["pipeline_id"]) for lead in leads]
        assert after == before
        assert all(lead["value"] == 7.5 for lead in leads)
        assert len(place.bodies) == tries


async def test_a_refusal_of_what_the_row_has_is_a_refusal(place: Place) -> None:
    email = place.sandbox.leads[12]["email"]
    summary = await place.bulk.upsert_leads([{"email": email, "stage_id": 99}])
    assert summary.failed == 1
    assert len(place.bodies) == 1


async def test_empty_cells_change_nothing_and_are_counted(place: Place) -> None:
    lead = place.sandbox.leads[12]
    lead["custom_fields"] = {"segmento": "varejo"}
    row = {
        "email": lead["email"],
        "name": "",
        "value": None,
        "notes": " ",
        "utm_term": "",
        "custom_fields.segmento": "",
        "custom_fields": {},
    }
    lead["notes"], lead["value"], lead["utm_term"] = "a", None, None
    summary = await place.bulk.upsert_leads([row], definitions=[])
    assert (summary.unchanged, summary.emptied) == (1, 4)
    assert place.bodies == []


async def test_only_what_differs_is_sent(place: Place) -> None:
    lead = place.sandbox.leads[12]
    lead["custom_fields"] = {"segmento": "varejo", "orcamento": 5}
    custom = {"custom_fields.segmento": "outro", "custom_fields.orcamento": "5"}
    row = {"email": lead["email"].upper(), "name": lead["name"], "source": "novo", **custom}
    definitions = [{"name": "segmento"}, {"name": "orcamento", "field_type": "number"}]
    summary = await place.bulk.upsert_leads([row], definitions=definitions)
    assert summary.updated == 1
    ((_, body),) = place.bodies
    assert body == {
        "source": "novo",
        "custom_fields": {"segmento": "outro"},
        "email": lead["email"],  # as the server spells it
        "match_by": "email",
    }


async def test_a_phone_is_found_in_every_spelling_and_sent_in_the_servers(place: Place) -> None:
    lead = place.sandbox.leads[12]
    lead["phone"] = "(11) 98888-0001"
    row = {"phone": "+55 11 98888 0001", "value": 3}
    summary = await place.bulk.upsert_leads([row], defaults=HOME)
    assert (summary.created, summary.updated) == (0, 1)
    assert place.bodies[0][1] == {"phone": "(11) 98888-0001", "value": 3, "match_by": "phone"}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("+5511988880001", "11 98888-0001", True),
        ("011988880001", "+55 11 98888 0001", True),
        ("988880001", "+5511988880001", False),
        ("+5521988880001", "11988880001", False),
        ("1188880001", "99995511888800011", False),
    ],
)
def test_two_spellings_of_a_phone(one: str, other: str, *, expected: bool) -> None:
    assert same_phone(one, other) is expected


async def test_a_lead_whose_date_cannot_be_read_is_found_all_the_same() -> None:
    server = RawServer(FakeClock(), folds=False, dates="zero")
    server.add(name="Ana", email="ana@x.y", stage_id=10)
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads(
            [{"email": "ana@x.y", "name": "Ana P."}], defaults=HOME
        )
    assert (summary.updated, server.leads[1]["stage_id"]) == (1, 10)


def test_what_fits_of_a_lead_that_does_not_fit_is_used() -> None:
    raw = b'{"id": "7", "name": "Ana", "birthday": "0000-00-00", "value": "5.5", "x": 1}'
    lead = lead_of(raw)
    assert lead is not None
    assert (lead.id, lead.name, lead.birthday, lead.value) == (7, "Ana", None, 5.5)
    assert lead_of(b'{"name": "Ana"}') is None


async def test_a_row_after_the_one_that_creates_its_lead_changes_only_what_it_has(
    place: Place,
) -> None:
    rows = [
        {"name": "Eva", "email": "eva@x.y", "phone": "+5511999990009", "stage_id": 5},
        {"email": "eva@x.y", "value": 3},
        {"phone": "+5511999990009", "notes": "n"},
    ]
    home = {"pipeline_id": 1, "stage_id": 4, "source": "feira"}
    summary = await place.bulk.upsert_leads(rows, defaults=home)
    assert (summary.created, summary.updated) == (1, 2)
    assert [body for _, body in place.bodies[1:]] == [
        {"email": "eva@x.y", "value": 3, "match_by": "email"},
        {"phone": "+5511999990009", "notes": "n", "match_by": "phone"},
    ]


# ------------------------------------------------------------------ tags


@pytest.mark.parametrize(
    ("mode", "after", "calls"),
    [
        ("add", ["vip", "frio", "novo"], ["POST /leads/12/tags"]),
        ("replace", ["vip", "novo"], ["POST /leads/12/tags", "DELETE /leads/12/tags/frio"]),
        ("skip", ["vip", "frio"], []),
    ],
)
async def test_tags_take_a_call_of_their_own(
    place: Place, mode: Any, after: list[str], calls: list[str]
) -> None:
    lead = place.sandbox.leads[12]
    lead["tags"] = ["vip", "frio"]
    rows = [
        {"email": lead["email"], "tags": ["vip", "novo", "novo"]},
        {"name": "New", "email": "new@x.y", "tags": "a, b", **HOME},
    ]
    summary = await place.bulk.upsert_leads(rows, tags_mode=mode)
    assert lead["tags"] == after
    assert [path for path in place.paths() if "/12/" in path] == calls
    assert place.sandbox.leads[21]["tags"] == ["a", "b"]
    assert all("tags" not in body for path, body in place.bodies if path.endswith("upsert"))
    assert (summary.created, summary.updated, summary.unchanged) == (
        1,
        int(mode != "skip"),
        int(mode == "skip"),
    )


async def test_tags_without_the_comparison(place: Place) -> None:
    lead = place.sandbox.leads[12]
    lead["tags"] = ["vip", "frio"]
    row = {"email": lead["email"], "tags": ["novo"]}
    await place.bulk.upsert_leads([row], diff=False, tags_mode="skip")
    assert lead["tags"] == ["vip", "frio"]
    await place.bulk.upsert_leads([row], diff=False, tags_mode="replace")
    assert lead["tags"] == ["novo"]


async def test_tags_of_rows_of_one_new_lead_are_all_added(place: Place) -> None:
    rows = [
        {"name": "Eva", "email": "eva@x.y", "tags": ["a"], **HOME},
        {"email": "eva@x.y", "tags": ["b"]},
        {"email": "eva@x.y", "value": 1},
    ]
    await place.bulk.upsert_leads(rows, defaults={"tags": ["default"]})
    assert place.sandbox.leads[21]["tags"] == ["a", "b"]


async def test_a_create_has_its_tags_with_it(place: Place) -> None:
    await place.bulk.create_leads([{"name": "Eva", "tags": ["a"], **HOME}])
    assert place.paths() == ["POST /leads"]
    assert place.sandbox.leads[21]["tags"] == ["a"]


async def test_tags_that_are_refused_are_added_by_the_next_run(place: Place, tmp_path: Any) -> None:
    rows = [{"name": "Eva", "email": "eva@x.y", "tags": ["a"], **HOME}]
    refusal = Trouble(status=422, body={"message": "no"}, path="/leads/21/tags")
    place.sandbox.script(refusal)
    summary = await place.bulk.upsert_leads(rows, journal=tmp_path / "j")
    assert (summary.created, summary.failed) == (0, 1)
    summary = await place.bulk.upsert_leads(rows, journal=tmp_path / "j")
    assert (summary.created, summary.failed) == (1, 0)
    assert place.paths() == ["POST /leads/upsert", "POST /leads/21/tags", "POST /leads/21/tags"]
    assert place.sandbox.leads[21]["tags"] == ["a"]


async def test_a_lost_row_that_is_found_gets_its_tags() -> None:
    server = RawServer(FakeClock())
    server.fates.append("lost")
    async with server.client() as syncro:
        row = {"name": "Eva", "email": "Eva+a@x.y", "tags": ["a"], **HOME}
        summary = await syncro.bulk.upsert_leads([row])
    assert (summary.created, summary.in_doubt) == (1, 0)
    assert server.leads[1]["tags"] == ["a"]
    assert len(server.posts("/leads/upsert")) == 1


async def test_an_update_whose_answers_are_lost_is_sent_again() -> None:
    server = RawServer(FakeClock(), folds=False)
    server.add(name="Ana", email="ana@x.y")
    server.fates.extend(["never"] * 4)
    async with server.client() as syncro:
        summary = await syncro.bulk.upsert_leads([{"email": "ana@x.y", "name": "Ana P."}])
    assert (summary.updated, summary.failed) == (1, 0)
    assert server.leads[1]["name"] == "Ana P."


# ------------------------------------------------------------------ which lead


def problems_of(caught: pytest.ExceptionInfo[BadRowsError]) -> str:
    return "; ".join(problem.reason for problem in caught.value.problems)


async def test_a_key_of_two_leads_is_refused_with_both(place: Place) -> None:
    email = place.sandbox.leads[5]["email"]  # two leads of one contact
    with pytest.raises(BadRowsError) as caught:
        await place.bulk.upsert_leads([{"email": email, "value": 1}])
    assert "is that of lead 5 (" in problems_of(caught)
    assert "and lead 6 (" in problems_of(caught)
    assert place.bodies == []


async def test_an_email_and_a_phone_of_two_leads_are_refused_with_both(place: Place) -> None:
    one, other = place.sandbox.leads[11], place.sandbox.leads[12]
    row = {"email": one["email"], "phone": other["phone"], "value": 1}
    with pytest.raises(BadRowsError) as caught:
        await place.bulk.upsert_leads([row])
    assert "is that of lead 11 (" in problems_of(caught)
    assert "that of lead 12 (" in problems_of(caught)
    summary = await place.bulk.upsert_leads([{**row, "phone": None}])
    assert summary.updated == 1


async def test_a_new_lead_that_cannot_be_created_is_refused_before_anything_is_sent(
    place: Place,
) -> None:
    rows = [{"email": "m@x.y", "name": "M", **HOME}, {"email": "m@x.y", "value": 2}]
    with pytest.raises(BadRowsError, match=r"a new one needs name \(line 3\)"):
        await place.bulk.upsert_leads([*rows, {"email": "n@x.y", **HOME}])
    assert place.bodies == []
    summary = await place.bulk.upsert_leads(rows)  # the second one is about the first one's lead
    assert (summary.created, summary.updated) == (1, 1)


async def test_another_person_with_the_phone_of_a_lead_is_refused(place: Place) -> None:
    row = {"name": "Beto", "email": "beto@x.y", "phone": place.sandbox.leads[12]["phone"], **HOME}
    with pytest.raises(BadRowsError, match="another name and another email"):
        await place.bulk.upsert_leads([row])
    summary = await place.bulk.upsert_leads([row], match_by="email")
    assert summary.created == 1


async def test_a_row_with_an_id_is_about_that_lead_alone(place: Place) -> None:
    lead = place.sandbox.leads[12]
    row = {"id": "12", "email": "changed@x.y", "phone": lead["phone"], "value": 9}
    summary = await place.bulk.upsert_leads([row], defaults=HOME)
    assert (summary.created, summary.updated) == (0, 1)
    assert place.bodies[0][1] == {
        "email": "changed@x.y",
        "value": 9,
        "phone": lead["phone"],
        "match_by": "phone",
    }


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"id": 999, "email": "x@y.z"}, "is no lead of the account"),
        ({"id": 12, "email": "of 11"}, "its id is that of lead 12 ("),
        ({"id": 12, "email": "new@x.y", "phone": "+5511999990000"}, "lead 12 cannot be changed"),
        ({"id": 5, "value": 1.25}, "lead 5 cannot be changed"),
    ],
)
async def test_a_row_with_an_id_that_is_no_certain_lead_is_refused(
    place: Place, row: dict[str, Any], says: str
) -> None:
    if row.get("email") == "of 11":
        row = {**row, "email": place.sandbox.leads[11]["email"]}
    with pytest.raises(BadRowsError) as caught:
        await place.bulk.upsert_leads([row], defaults=HOME)
    assert says in problems_of(caught)
    assert place.bodies == []


async def test_tags_of_a_row_with_an_id_need_no_key(place: Place) -> None:
    summary = await place.bulk.upsert_leads([{"id": 5, "tags": ["novo"]}])
    assert summary.updated == 1
    assert place.paths() == ["POST /leads/5/tags"]


# ------------------------------------------------------------------ how leads are found


async def test_few_rows_are_searched_for_and_many_are_read() -> None:
    async with a_place(1000) as place:
        lead = place.sandbox.leads[500]
        lead["phone"] = "(11) 98888-0001"
        rows = [
            {"email": place.sandbox.leads[400]["email"], "value": 1},
            {"phone": "+5511988880001", "value": 1},
        ]
        summary = await place.bulk.upsert_leads(rows, defaults=HOME)
        assert (summary.created, summary.updated) == (0, 2)
        searches = [a.query for a in place.sandbox.arrivals if "q=" in a.query]
        assert len(searches) == 2
        assert "q=0001" in searches[1]
        many = [{"email": place.sandbox.leads[n]["email"], "value": 2} for n in range(20, 30)]
        arrivals = len(place.sandbox.arrivals)
        summary = await place.bulk.upsert_leads(many)
        assert summary.updated == 10
        assert len(place.sandbox.arrivals) - arrivals == 2 * 5 + 10


# ------------------------------------------------------------------ sales and losses


async def test_a_won_or_lost_stage_needs_to_be_allowed(place: Place) -> None:
    leads = place.sandbox.leads
    for number in (11, 12):
        leads[number]["pipeline_id"], leads[number]["stage_id"] = 1, 4
    rows: list[dict[str, Any]] = [
        {"email": leads[11]["email"], "stage_id": WON_STAGE_ID},
        {"email": leads[12]["email"], "stage_id": LOST_STAGE_ID},
        {"name": "N", "email": "n@x.y", "pipeline_id": 1, "stage_id": WON_STAGE_ID},
        {"email": "n@x.y", "stage_id": LOST_STAGE_ID},
        {"email": leads[WON_LEAD_ID]["email"], "stage_id": leads[WON_LEAD_ID]["stage_id"]},
    ]
    summary = await place.bulk.upsert_leads(rows, dry_run=True)
    assert (summary.sales, summary.losses) == (2, 2)
    with pytest.raises(ConfigurationError, match=r"2 sales and 2 losses \(lines 1, 2, 3, 4\)"):
        await place.bulk.upsert_leads(rows)
    assert place.bodies == []
    summary = await place.bulk.upsert_leads(rows, allow_sales=True)
    assert (summary.failed, len(place.bodies)) == (0, 4)
    creates = [{"name": f"C {n}", "pipeline_id": 1, "stage_id": WON_STAGE_ID} for n in range(7)]
    with pytest.raises(ConfigurationError, match=r"7 sales and 0 losses \(lines 1, 2, 3, 4, 5, …"):
        await place.bulk.create_leads(creates)


async def test_a_key_that_may_not_read_the_stages_imports_all_the_same() -> None:
    async with a_place(key=LEADS_ONLY_KEY) as place:
        rows = [{"name": "N", "email": "n@x.y", "pipeline_id": 1, "stage_id": WON_STAGE_ID}]
        assert (await place.bulk.upsert_leads(rows)).created == 1


async def test_a_key_that_expires_meanwhile_stops_the_job() -> None:
    async with a_place() as place:
        place.sandbox.script(Trouble(status=401, path="/pipelines"))
        with pytest.raises(Exception, match="401"):
            await place.bulk.upsert_leads([{"name": "N", "email": "n@x.y", **HOME}])


# ------------------------------------------------------------------ dry runs


async def test_a_dry_run_has_the_counts_and_the_leads_of_the_real_run(place: Place) -> None:
    leads = place.sandbox.leads
    rows = [
        {"email": leads[11]["email"], "tags": ["x"], "value": 2.5},
        {"email": leads[12]["email"], "name": leads[12]["name"]},
        {"name": "N", "phone": "+5511999990009", **HOME},
        {"phone": "+5511999990009", "value": 1},
        {"phone": "+5511999990009", "value": 1},
    ]
    dry = await place.bulk.upsert_leads(rows, dry_run=True, defaults=HOME)
    assert place.bodies == []
    tags = leads[11]["tags"]
    assert dry.changes[0] == RowChange(
        1, "update", 11, {"value": (leads[11]["value"], 2.5), "tags": (tags, [*tags, "x"])}
    )
    real = await place.bulk.upsert_leads(rows, defaults=HOME)
    counts = [(s.created, s.updated, s.unchanged) for s in (dry, real)]
    assert counts == [(1, 2, 2)] * 2


@pytest.mark.parametrize("mode", ["append", None])
async def test_a_tags_mode_that_cannot_be_is_refused(place: Place, mode: Any) -> None:
    with pytest.raises(ValueError, match=r"tags_mode must be one of add, replace, skip, not"):
        await place.bulk.upsert_leads([], tags_mode=mode)
