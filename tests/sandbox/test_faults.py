"""Scripted trouble, in process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from syncro_async.sandbox import ConnectionDropped, Sandbox, Trouble
from syncro_async.testing.fake_clock import FakeClock

Connect = Callable[..., httpx.AsyncClient]
NEW = {"name": "João", "pipeline_id": 1, "stage_id": 5}


async def test_a_scripted_status_applies_nothing_and_counts(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.script(Trouble(status=500))
    answer = await api.post("/leads", json=NEW)
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
    assert len(sandbox.leads) == 100
    assert sandbox.writes == []
    assert [(a.status, a.counted) for a in sandbox.arrivals] == [(500, True)]
    assert (await api.post("/leads", json=NEW)).status_code == 201


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_a_scripted_refusal_is_not_counted_as_the_real_one_is_not(
    api: httpx.AsyncClient, sandbox: Sandbox, status: int
) -> None:
    sandbox.script(Trouble(status=status, body={"message": "x"}, headers={"Retry-After": "7"}))
    answer = await api.get("/leads")
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "7")
    assert sandbox.arrivals[0].counted is False
    assert sandbox.refused == (status == 429)


@pytest.mark.parametrize(
    ("trouble", "kind", "body"),
    [
        (
            Trouble(status=502, body=b"<h1>Bad Gateway"),
            "text/html; charset=UTF-8",
            b"<h1>Bad Gateway",
        ),
        (Trouble(status=503, body=b""), "text/html; charset=UTF-8", b""),
        (Trouble(status=200, body={"a": 1}), "application/json", b'{"a":1}'),
        (Trouble(status=200, body=[1]), "application/json", b"[1]"),
        (Trouble(status=200), None, b""),
        (Trouble(status=204), None, b""),
        (Trouble(status=520), "application/json", b'{"message":"Status 520"}'),
        (Trouble(body=b'{"succ'), "application/json", b'{"succ'),
        (
            Trouble(status=500, body=b"no", headers={"Content-Type": "text/plain"}),
            "text/plain",
            b"no",
        ),
    ],
)
async def test_bodies_and_their_types_are_what_was_scripted(
    api: httpx.AsyncClient, sandbox: Sandbox, trouble: Trouble, kind: str | None, body: bytes
) -> None:
    sandbox.script(trouble)
    answer = await api.get("/leads")
    assert answer.status_code == (trouble.status or 200)
    assert answer.headers.get("Content-Type") == kind
    assert answer.content == body


async def test_without_a_status_the_request_is_carried_out_and_the_answer_changed(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.script(Trouble(body=b"cut", headers={"X-RateLimit-Remaining": "3"}))
    sandbox.script(Trouble(headers=[("X-Trace", "1"), ("X-Trace", "2"), ("Date", "yesterday")]))
    changed = await api.post("/leads", json=NEW)
    assert (changed.status_code, changed.content) == (201, b"cut")
    assert changed.headers["X-RateLimit-Remaining"] == "3"
    assert len(sandbox.leads) == 101
    usual = await api.get("/leads/101")
    assert usual.json()["lead"]["name"] == "João"
    assert usual.headers.get_list("X-Trace") == ["1", "2"]
    assert usual.headers.get_list("Date") == ["yesterday"]


async def test_trouble_meets_only_what_it_waits_for_in_its_order(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.script(Trouble(status=500, method="post"))
    sandbox.script(Trouble(status=502, path="/leads/2", times=2))
    sandbox.script(Trouble(status=503))
    paths = ("/leads/2", "/leads/22", "/leads/2", "/leads/2")
    assert [(await api.get(path)).status_code for path in paths] == [502, 502, 503, 200]
    assert (await api.post("/leads", json=NEW)).status_code == 500
    assert (await api.post("/leads", json=NEW)).status_code == 201


async def test_a_delay_passes_on_the_sandbox_clock_after_the_work_is_done(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    clock = FakeClock(autojump=False)
    slow = Sandbox(clock=clock)
    slow.script(Trouble(delay=3.0, method="DELETE"))
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(slow.app), headers={"X-API-Key": "crm_sandbox_full"}
    )
    async with client:
        call = asyncio.create_task(client.delete("http://sandbox/api/v1/leads/1"))
        await clock.advance(2.9)
        assert not call.done()
        assert 1 not in slow.leads
        assert slow.arrivals[0].status == 0
        await clock.advance(0.2)
        assert (await call).status_code == 200


async def test_a_reset_drops_the_connection_with_nothing_applied(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.script(Trouble(reset=True))
    with pytest.raises(ConnectionDropped):
        await api.delete("/leads/1")
    assert 1 in sandbox.leads
    assert [(a.status, a.counted) for a in sandbox.arrivals] == [(0, True)]


async def test_a_lost_answer_drops_the_connection_with_the_write_applied(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.script(Trouble(lose_answer=True))
    with pytest.raises(ConnectionResetError):
        await api.delete("/leads/1")
    assert 1 not in sandbox.leads
    assert sandbox.writes == [("DELETE", "/leads/1")]
    assert sandbox.arrivals[0].status == 0


async def test_a_truncated_answer_begins_and_never_ends(sandbox: Sandbox) -> None:
    sandbox.script(Trouble(status=200, body=b"0123456789", truncate=True))
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/v1/leads",
        "query_string": b"",
        "headers": [(b"x-api-key", b"crm_sandbox_full")],
    }
    with pytest.raises(ConnectionDropped):
        await sandbox.app(scope, receive, send)  # type: ignore[arg-type]
    assert (b"content-length", b"10") in sent[0]["headers"]
    assert (sent[1]["body"], sent[1]["more_body"]) == (b"01234", True)
    assert sandbox.arrivals[0].status == 200


class TestHazards:
    async def test_a_share_of_the_requests_meets_one_of_those_that_match(
        self, connect: Connect
    ) -> None:
        hazards = (
            Trouble(status=500, method="GET"),
            Trouble(status=503, method="GET"),
            Trouble(status=418, path="/elsewhere"),
        )
        sandbox = Sandbox(clock=FakeClock(), per_minute=10_000, hazards=hazards, hazard_share=0.2)
        api = connect(sandbox)
        met = [(await api.get("/leads/1")).status_code for _ in range(1000)]
        assert set(met) == {200, 500, 503}
        assert 150 < 1000 - met.count(200) < 250
        answers = [(await api.delete("/leads/1/tags/x")).status_code for _ in range(50)]
        assert answers == [200] * 50

    async def test_it_is_the_same_each_time(self, connect: Connect) -> None:
        async def answers(seed: int) -> list[int]:
            hazards = [Trouble(status=500)]
            sandbox = Sandbox(clock=FakeClock(), hazards=hazards, hazard_share=0.5, seed=seed)
            api = connect(sandbox)
            return [(await api.get("/leads/1")).status_code for _ in range(30)]

        assert await answers(1) == await answers(1) != await answers(2)

    async def test_what_was_scripted_comes_first(self, connect: Connect) -> None:
        sandbox = Sandbox(clock=FakeClock(), hazards=[Trouble(status=500)], hazard_share=1.0)
        sandbox.script(Trouble(status=503))
        api = connect(sandbox)
        assert [(await api.get("/leads/1")).status_code for _ in range(3)] == [503, 500, 500]

    async def test_a_full_window_is_told_from_a_429_by_script(self, connect: Connect) -> None:
        sandbox = Sandbox(clock=FakeClock(), per_minute=1)
        sandbox.script(Trouble(status=429))
        api = connect(sandbox)
        assert [(await api.get("/leads/1")).status_code for _ in range(3)] == [429, 200, 429]
        assert (sandbox.refused, sandbox.overdrawn) == (2, 1)

    @pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
    def test_what_is_no_share_is_refused(self, share: float) -> None:
        with pytest.raises(ValueError, match="must be between"):
            Sandbox(hazard_share=share)


@pytest.mark.parametrize(
    "contradiction",
    [
        {"times": 0},
        {"delay": -1.0},
        {"reset": True, "lose_answer": True},
        {"truncate": True, "reset": True},
        {"status": 500, "lose_answer": True},
    ],
)
def test_trouble_that_contradicts_itself_is_refused(contradiction: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"times|delay|exclude|executes"):
        Trouble(**contradiction)


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "503"},
        {"status": True},
        {"status": 700},
        {"body": "text"},
        {"headers": "Retry-After: 1"},
        {"delay": "1"},
        {"reset": 1},
        {"times": 1.5},
        {"method": b"GET"},
        {"path": "leads"},
        {"method": "FETCH"},
        {"method": ""},
        {"headers": {"Retry-After": 1}},
        {"headers": {1: "Retry-After"}},
        {"headers": ["Retry-After"]},
        {"headers": [("Retry-After", "1", "s")]},
        {"headers": {"": "1"}},
        {"headers": {"Retry-After": "1\r\nX: 2"}},
    ],
)
def test_trouble_of_a_wrong_type_is_refused_with_its_name(wrong: dict[str, Any]) -> None:
    ((name, _),) = wrong.items()
    with pytest.raises((TypeError, ValueError), match=f"{name}="):
        Trouble(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"leads": "10"},
        {"leads": True},
        {"minute": "60"},
        {"per_minute": 1.5},
        {"php_quirks": 1},
        {"max_leads": "5"},
        {"seed": 0.5},
        {"hazards": {}},
        {"hazard_share": "0.1"},
        {"clock": 3},
    ],
)
def test_a_sandbox_of_a_wrong_type_is_refused_with_its_name(wrong: dict[str, Any]) -> None:
    ((name, _),) = wrong.items()
    with pytest.raises(TypeError, match=rf"Sandbox\({name}="):
        Sandbox(**wrong)


def test_only_a_trouble_can_be_scripted() -> None:
    not_one: Any = {"status": 503}
    with pytest.raises(TypeError, match="give a Trouble"):
        Sandbox(3).script(not_one)


async def test_what_was_scripted_and_never_happened_is_listed(
    sandbox: Sandbox, api: httpx.AsyncClient
) -> None:
    sandbox.check_script()
    sandbox.script(Trouble(status=503, times=20))
    sandbox.script(Trouble(status=500, path="/lead", method="PATCH"))
    await api.get("/leads/1")
    assert [trouble.status for trouble in sandbox.unmet] == [500]
    message = r"never happened: Trouble\(status=500, method='PATCH', path='/lead'\); the test"
    with pytest.raises(AssertionError, match=message):
        sandbox.check_script()


@pytest.mark.parametrize("delay", [-1.0, float("nan"), float("inf")])
def test_a_delay_is_a_time_that_passes(delay: float) -> None:
    with pytest.raises(ValueError, match="must be 0 or more seconds"):
        Trouble(delay=delay)
