"""The example service over ASGI, against the sandbox in this process and in virtual time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from examples.fastapi_service import make_app
from syncro_async import RateLimit
from syncro_async.sandbox import Sandbox, Trouble
from syncro_async.testing.fake_clock import FakeClock
from tests.integrations.serving_app import Visit, bound_to, running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sandbox(clock: FakeClock) -> Sandbox:
    return Sandbox(100, clock=clock)


def service(sandbox: Sandbox, clock: FakeClock, **options: Any) -> Any:
    return running(make_app(**bound_to(sandbox, clock, **options)))


async def test_it_lists_and_reads_leads(sandbox: Sandbox, clock: FakeClock) -> None:
    async with service(sandbox, clock) as web:
        vips = (await web.get("/leads", params={"tag": "vip", "limit": 3})).json()
        assert len(vips) == 3
        assert all("vip" in lead["tags"] for lead in vips)
        assert (await web.get(f"/leads/{vips[0]['id']}")).json()["name"] == vips[0]["name"]
        assert (await web.get("/leads", params={"limit": 0})).status_code == 422
        missing = await web.get("/leads/4711")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


async def test_it_creates_a_lead_where_the_environment_says(
    sandbox: Sandbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADS_PIPELINE", "1")
    monkeypatch.setenv("LEADS_STAGE", "5")
    async with service(sandbox, clock) as web:
        created = await web.post("/leads", json={"name": "Ana Souza", "tags": ["new"]})
        refused = await web.post("/leads", json={"name": "  "})
    assert (created.status_code, refused.status_code) == (201, 422)
    lead = sandbox.leads[created.json()["id"]]
    assert (lead["name"], lead["stage_id"], lead["tags"]) == ("Ana Souza", 5, ["new"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/leads?tag=", None),
        ("POST", "/leads", {"name": "Ana", "tags": ["new", " "]}),
        ("POST", "/retaggings", {"having": " ", "add": "seen"}),
        ("POST", "/retaggings", {"having": "vip", "add": " "}),
    ],
)
async def test_what_the_client_would_refuse_is_a_callers_mistake(
    sandbox: Sandbox, clock: FakeClock, method: str, path: str, body: Any
) -> None:
    async with service(sandbox, clock) as web:
        answer = await web.request(method, path, json=body)
    assert (answer.status_code, sandbox.arrivals) == (422, [])


async def test_its_health_shows_the_budget(sandbox: Sandbox, clock: FakeClock) -> None:
    async with service(sandbox, clock) as web:
        await web.get("/leads/1")
        health = (await web.get("/health")).json()
    assert health["status"] == "ok"
    assert (health["budget"]["limit"], health["budget"]["available"]) == (60, 59)


async def test_the_environment_says_how_long_a_caller_may_wait(
    sandbox: Sandbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADS_MAX_WAIT", "3")
    async with service(sandbox, clock, rate_limit=RateLimit(1, 60.0)) as web:
        assert (await web.get("/leads/1")).status_code == 200
        busy = await web.get("/leads/1")
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "61")


async def test_background_work_goes_behind_those_who_wait() -> None:
    clock = FakeClock(autojump=False)
    sandbox = Sandbox(100, clock=clock)
    app = make_app(**bound_to(sandbox, clock, rate_limit=RateLimit(2, 60.0), max_wait=None))
    async with app.router.lifespan_context(app):
        job = Visit(app, "/retaggings", method="POST", content_type="application/json")
        job.say(b'{"having": "vip", "add": "seen"}')
        working = job.start()
        await clock.advance(0)
        assert job.status == 202
        first_round = [arrival.path for arrival in sandbox.arrivals]
        visit = Visit(app, "/leads/7")
        visit.say()
        reading = visit.start()
        await clock.advance(0)
        budget = app.state.syncro.budget()
        assert (budget.waiting, budget.waiting_bulk) == (2, 1)
        await clock.advance(61)
        await reading
        assert sandbox.arrivals[len(first_round)].path == "/leads/7"
        for _ in range(100):
            await clock.advance(61)
        await working
    vips = [lead for lead in sandbox.leads.values() if "vip" in lead["tags"]]
    assert vips
    assert all("seen" in lead["tags"] for lead in vips)


async def test_a_retagging_says_how_far_it_is(sandbox: Sandbox, clock: FakeClock) -> None:
    sandbox.script(Trouble(status=404, method="POST"))
    async with service(sandbox, clock) as web:
        started = (await web.post("/retaggings", json={"having": "vip", "add": "seen"})).json()
        path = f"/retaggings/{started['id']}"
        state = (await web.get(path)).json()
        missing = await web.get("/retaggings/unknown")
    assert started["state"] == "running"
    assert (state["state"], state["failed"]) == ("done", 1)
    assert state["progress"]["done"] == state["progress"]["total"] > 1
    assert (missing.status_code, missing.json()["detail"][:4]) == (404, "This")


async def test_background_work_that_fails_is_in_the_log(
    sandbox: Sandbox, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.script(Trouble(status=403, path="/leads"))
    async with service(sandbox, clock) as web:
        with caplog.at_level(logging.ERROR, "leads_service"):
            answer = await web.post("/retaggings", json={"having": "vip", "add": "seen"})
    assert answer.status_code == 202
    assert "retagging 'vip' did not finish" in caplog.text


async def test_two_hundred_callers_draw_no_429_and_are_all_answered(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    async with service(sandbox, clock, max_wait=None) as web:
        answers = await asyncio.gather(*(web.get(f"/leads/{n % 100 + 1}") for n in range(200)))
    assert {answer.status_code for answer in answers} == {200}
    assert (len(sandbox.arrivals), sandbox.refused) == (200, 0)
    assert clock.monotonic() > 180
