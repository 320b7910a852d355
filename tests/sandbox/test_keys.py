"""The order of checks: key, account, permission, rate limit, and only then the call itself."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from syncro_async.sandbox import (
    EXPIRED_KEY,
    FULL_KEY,
    READ_ONLY_KEY,
    SUSPENDED_KEY,
    Sandbox,
    Trouble,
)
from syncro_async.testing.fake_clock import FakeClock

Connect = Callable[..., httpx.AsyncClient]


@pytest.mark.parametrize(
    ("key", "status", "message", "name"),
    [
        (None, 401, "API Key não fornecida.", None),
        ("  ", 401, "API Key não fornecida.", None),
        ("crm_of_nobody", 401, "API Key inválida.", None),
        (EXPIRED_KEY, 401, "API Key expirada.", "expired"),
        (SUSPENDED_KEY, 403, "Conta inativa.", "suspended"),
    ],
)
async def test_a_key_that_opens_nothing_is_told_why_before_anything_else(
    connect: Connect,
    sandbox: Sandbox,
    *,
    key: str | None,
    status: int,
    message: str,
    name: str | None,
) -> None:
    answer = await connect(sandbox, key).get("/leads/nowhere?per_page=900")
    assert answer.status_code == status
    assert answer.json() == {"message": message}
    assert [(a.status, a.counted, a.key_name) for a in sandbox.arrivals] == [(status, False, name)]


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("POST", "/leads", "leads:write"),
        ("POST", "/leads/upsert", "leads:write"),
        ("PUT", "/leads/1/stage", "leads:write"),
        ("PUT", "/leads/1/won", "leads:write"),
        ("PUT", "/leads/1/lost", "leads:write"),
        ("DELETE", "/leads/1", "leads:write"),
        ("POST", "/leads/1/tags", "leads:write"),
        ("DELETE", "/leads/1/tags/vip", "leads:write"),
        ("POST", "/leads/1/enroll-sequence", "sequences:write"),
        ("DELETE", "/leads/1/enroll-sequence/1", "sequences:write"),
        ("POST", "/leads/1/send-whatsapp", "whatsapp:write"),
        ("POST", "/leads/1/send-whatsapp-template", "whatsapp:write"),
    ],
)
async def test_a_read_only_key_is_told_the_permission_it_lacks(
    connect: Connect, sandbox: Sandbox, method: str, path: str, permission: str
) -> None:
    answer = await connect(sandbox, READ_ONLY_KEY).request(method, path)
    assert answer.status_code == 403
    assert answer.json() == {
        "message": "API Key sem permissão para esta operação.",
        "required_permission": permission,
    }
    assert sandbox.arrivals[0].counted is False
    assert sandbox.writes == []


async def test_a_read_only_key_reads(connect: Connect, sandbox: Sandbox) -> None:
    reader = connect(sandbox, READ_ONLY_KEY)
    assert (await reader.get("/leads")).status_code == 200
    assert (await reader.get("/leads/1")).status_code == 200


async def test_401_and_403_cost_no_budget_and_everything_later_does(
    connect: Connect, clock: FakeClock
) -> None:
    sandbox = Sandbox(clock=clock, per_minute=3)
    reader = connect(sandbox, READ_ONLY_KEY)
    for _ in range(5):
        assert (await reader.delete("/leads/1")).status_code == 403
    statuses = [
        (await reader.get(path)).status_code
        for path in ("/leads/0", "/leads?page=0", "/nowhere", "/leads")
    ]
    assert statuses == [404, 422, 404, 429]
    assert [arrival.counted for arrival in sandbox.arrivals] == [False] * 5 + [True] * 3 + [False]


async def test_the_429_is_the_documented_one_in_header_and_body(
    connect: Connect, clock: FakeClock
) -> None:
    sandbox = Sandbox(clock=clock, per_minute=1)
    api = connect(sandbox)
    await api.get("/leads")
    await clock.sleep(25)
    answer = await api.get("/leads")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "35"
    assert answer.json() == {
        "message": "Rate limit excedido para esta API Key.",
        "retry_after": 35,
    }
    assert sandbox.refused == 1


async def test_each_key_has_a_budget_of_its_own(connect: Connect, clock: FakeClock) -> None:
    sandbox = Sandbox(clock=clock, per_minute=1)
    full, reader = connect(sandbox, FULL_KEY), connect(sandbox, READ_ONLY_KEY)
    statuses = [(await key.get("/leads")).status_code for key in (full, reader, full, reader)]
    assert statuses == [200, 200, 429, 429]


async def test_arrivals_tell_what_reached_the_server(
    api: httpx.AsyncClient, sandbox: Sandbox, clock: FakeClock
) -> None:
    await clock.sleep(2.5)
    await api.delete("/leads/1/tags/a%2Fb?x=1")
    arrival = sandbox.arrivals[0]
    assert (arrival.at, arrival.method, arrival.path) == (2.5, "DELETE", "/leads/1/tags/a%2Fb")
    assert (arrival.query, arrival.key_name, arrival.status) == ("x=1", "full", 200)


async def test_an_encoded_slash_stays_inside_its_segment(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.leads[1]["tags"] = ["a/b", "c"]
    assert (await api.delete("/leads/1/tags/a/b")).status_code == 404
    assert (await api.delete("/leads/1/tags/a%2Fb")).json()["tags"] == ["c"]


async def test_without_a_raw_path_the_decoded_one_serves(sandbox: Sandbox) -> None:
    async def without_raw_path(scope: dict[str, object], *channel: object) -> None:
        scope.pop("raw_path")
        await sandbox.app(scope, *channel)  # type: ignore[arg-type]

    transport = httpx.ASGITransport(without_raw_path)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, headers={"X-API-Key": FULL_KEY}) as client:
        answer = await client.delete("http://sandbox/api/v1/leads/1/tags/feir%C3%A3o")
    assert answer.status_code == 200
    assert sandbox.arrivals[0].path == "/leads/1/tags/feir%C3%A3o"


async def test_outside_the_api_there_are_web_pages(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    root = await api.get("http://sandbox/")
    lost = await api.get("http://sandbox/login")
    assert (root.status_code, lost.status_code) == (200, 404)
    assert root.headers["Content-Type"].startswith("text/html")
    assert [arrival.path for arrival in sandbox.arrivals] == ["/", "/login"]


async def test_every_answer_carries_the_date_of_the_sandbox(api: httpx.AsyncClient) -> None:
    answer = await api.get("/leads/1")
    assert answer.headers["Date"] == "Tue, 30 Jun 2026 12:00:00 GMT"


@pytest.mark.parametrize("accept", ["*/*", "text/html, application/json", ""])
async def test_broken_fields_redirect_to_a_page_unless_json_is_wanted(
    connect: Connect, sandbox: Sandbox, accept: str
) -> None:
    browser = connect(sandbox, accept=accept)
    answer = await browser.post("/leads", json={})
    assert answer.status_code == 302
    assert answer.headers["Content-Type"].startswith("text/html")
    assert sandbox.writes == []
    assert answer.next_request is not None
    followed = await browser.send(answer.next_request)
    assert followed.text == "<!DOCTYPE html><html><body>Syncro</body></html>"
    assert [arrival.path for arrival in sandbox.arrivals] == ["/leads", "/"]


async def test_other_refusals_are_json_even_for_a_browser(
    connect: Connect, sandbox: Sandbox
) -> None:
    browser = connect(sandbox, accept="text/html")
    assert (await browser.get("/leads/0")).json()["message"]


async def test_scripted_trouble_waits_behind_the_checks(connect: Connect, clock: FakeClock) -> None:
    sandbox = Sandbox(clock=clock, per_minute=1)
    api = connect(sandbox)
    await api.get("/leads")
    sandbox.script(Trouble(status=503))
    assert (await connect(sandbox, None).get("/leads")).status_code == 401
    assert (await api.get("/leads")).status_code == 429
    await clock.sleep(60)
    assert (await api.get("/leads")).status_code == 503


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"leads": -1}, "leads=-1"),
        ({"minute": 0}, "minute=0"),
        ({"per_minute": 0}, "per_minute=0"),
        ({"window": "leaky"}, "window='leaky'"),
        ({"order": "random"}, "order='random'"),
    ],
)
def test_impossible_settings_are_named(options: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Sandbox(**options)  # type: ignore[arg-type]
