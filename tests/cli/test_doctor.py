from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from syncro_async import (
    AsyncClient,
    Budget,
    BudgetWaitError,
)
from syncro_async.cli.doctor import NOT_PROBED, PROBES, checks, line
from syncro_async.sandbox import (
    EXPIRED_KEY,
    LEADS_ONLY_KEY,
    READ_ONLY_KEY,
    SUSPENDED_KEY,
    Sandbox,
    Trouble,
)
from syncro_async.testing import FakeClock
from tests.cli.run_cli import Ran, Run, Serve
from tests.transport.certificate import server_side

FREE = Budget(60, 60.0, 60, 0, 0, 0.0)


NOT_THE_API = "check --base-url or SYNCRO_BASE_URL: this address is not that of the API"


def said(ran: Ran) -> list[tuple[str, str, str]]:
    """State, subject and the rest of each line."""
    return [
        (words[0], words[1], " ".join(words[2:])) for words in map(str.split, ran.out.splitlines())
    ]


def of(ran: Ran, subject: str) -> list[tuple[str, str]]:
    return [(state, rest) for state, about, rest in said(ran) if about == subject]


def test_a_good_key_is_told_its_account_and_scopes_for_seven_reads(run: Run, serve: Serve) -> None:
    sandbox = Sandbox(leads=5)
    serve(sandbox)
    ran = run("doctor")
    assert (ran.code, ran.err) == (0, "")
    assert of(ran, "key") == [("ok", "the API accepts it → nothing to do")]
    account = "ACME Imóveis (id 1, plan pro) → check that this is the intended account"
    assert of(ran, "account") == [("ok", account)]
    (has, not_told) = of(ran, "scopes")
    assert has == ("ok", f"{', '.join(PROBES)} → nothing to do")
    assert not_told[1].startswith(f"not tested by reads: {', '.join(NOT_PROBED)} → ")
    ((state, clock),) = of(ran, "clock")
    assert (state, clock.endswith("→ nothing to do")) == ("ok", True)
    ((state, budget),) = of(ran, "budget")
    assert (state, budget) == ("ok", "53 of 60 calls in 60 s are free → nothing to do")
    ((state, limiter),) = of(ran, "limiter")
    assert (state, limiter.partition(" → ")[0]) == (
        "ok",
        "reachable, and shared by all programs that use it",
    )
    assert {arrival.method for arrival in sandbox.arrivals} == {"GET"}
    assert len(sandbox.arrivals) == len(PROBES) == 7


def test_all_documented_scopes_are_either_probed_or_said_not_to_be() -> None:
    areas = "leads sequences tasks whatsapp webhooks"
    scopes = {f"{area}:{what}" for area in areas.split() for what in ("read", "write")}
    scopes |= {"pipelines:read", "custom_fields:read", "users:read"}
    assert {*PROBES} | {*NOT_PROBED} == scopes
    assert not {*PROBES} & {*NOT_PROBED}


def test_each_scope_that_is_missing_has_its_line(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(Sandbox(leads=5))
    monkeypatch.setenv("SYNCRO_API_KEY", LEADS_ONLY_KEY)
    ran = run("doctor")
    assert ran.code == 0  # a key with few scopes may be meant
    # That of the account has its own line: each finding comes once.
    missing = [scope for scope in PROBES if scope not in {"leads:read", "users:read"}]
    assert of(ran, "scope") == [
        ("warn", f"{scope} is missing → give it to the key if you need it") for scope in missing
    ]
    assert of(ran, "scopes")[0] == ("ok", "leads:read → nothing to do")
    account = (
        "not readable with this key → give the key the scope users:read, or ask the person who"
        " created it"
    )
    assert of(ran, "account") == [("warn", account)]


@pytest.mark.parametrize(
    ("key", "finding"),
    [
        (
            EXPIRED_KEY,
            "error key refused: API Key expirada. → make a new key and set SYNCRO_API_KEY to it",
        ),
        (
            "crm_of_nobody",
            "error key refused: API Key inválida. → set SYNCRO_API_KEY to a key of your account",
        ),
        (SUSPENDED_KEY, "error account inactive: Conta inativa. → ask the owner of the account"),
    ],
)
def test_a_key_that_opens_nothing_costs_one_request(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, key: str, finding: str
) -> None:
    sandbox = Sandbox(leads=5)
    serve(sandbox)
    monkeypatch.setenv("SYNCRO_API_KEY", key)
    ran = run("doctor")
    assert ran.code == 1
    assert [" ".join(words) for words in said(ran) if words[0] == "error"] == [finding]
    assert of(ran, "scopes")[0][1] == f"unknown: {', '.join(PROBES)} → fix the errors above first"
    assert key not in ran.out
    assert len(sandbox.arrivals) == 1


def test_without_a_key_it_says_where_to_put_one(run: Run) -> None:
    code, out, err = run("doctor")
    assert (code, out) == (2, "")
    assert "set SYNCRO_API_KEY" in err
    assert "run syncro sandbox, and set what it prints" in err


TROUBLES = [
    Trouble(status=503, headers={"Retry-After": "1"}, times=20),
    Trouble(status=429, headers={"Retry-After": "0"}, times=20),
    Trouble(status=500, times=20),
    Trouble(reset=True, times=20),
    Trouble(truncate=True, times=20),
    Trouble(status=200, body=b"<html>log in</html>", times=20),
    Trouble(status=200, body={"data": "nothing like it"}, times=20),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=repr)
def test_whatever_the_server_does_no_more_than_eight_requests_are_spent(
    run: Run, serve: Serve, trouble: Trouble
) -> None:
    sandbox = Sandbox(leads=5)
    sandbox.script(trouble)
    serve(sandbox)
    ran = run("doctor")
    assert (ran.code, ran.err) == (1, "")
    assert all(" → " in rest for _, _, rest in said(ran))
    assert 1 <= len(sandbox.arrivals) <= 8


def test_one_read_that_fails_does_not_hide_the_others(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = Sandbox(leads=5, php_quirks=True)
    sandbox.script(Trouble(status=500, path="/tasks"))
    serve(sandbox)
    monkeypatch.setenv("SYNCRO_API_KEY", READ_ONLY_KEY)
    ran = run("doctor")
    assert ran.code == 0
    failed = "tasks:read unknown: GET /tasks → 500: Internal Server Error → run this again"
    assert of(ran, "scope") == [("warn", failed)]
    assert "tasks:read" not in of(ran, "scopes")[0][1]
    assert "webhooks:read" in of(ran, "scopes")[0][1]


def test_a_budget_that_others_have_spent_is_told_with_the_wait(run: Run, serve: Serve) -> None:
    sandbox = Sandbox(leads=5, per_minute=3)
    serve(sandbox)
    ran = run("doctor")
    assert ran.code == 1
    assert of(ran, "key") == [("ok", "the API accepts it → nothing to do")]
    ((state, budget),) = of(ran, "budget")
    assert (state, budget.startswith("the server answered 429")) == ("error", True)
    assert "SYNCRO_LIMITER" in budget
    assert len(sandbox.arrivals) == 4


@pytest.mark.parametrize(("off", "words"), [(-3600.0, "ahead of"), (3600.0, "behind")])
def test_a_clock_that_is_off_is_to_be_set(run: Run, serve: Serve, off: float, words: str) -> None:
    serve(Sandbox(leads=5, clock=FakeClock(wall=time.time() + off)))
    ran = run("doctor")
    assert ran.code == 1
    ((state, clock),) = of(ran, "clock")
    assert state == "error"
    assert words in clock
    assert "set this machine's clock" in clock


def test_a_server_that_cannot_be_reached_is_told_with_what_to_check(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCRO_API_KEY", "crm_any")
    # Nothing listens on the port of "discard".
    ran = run("doctor", "--base-url", "http://127.0.0.1:9/api/v1")
    assert ran.code == 1
    ((state, key),) = of(ran, "key")
    assert (state, "check --base-url or SYNCRO_BASE_URL" in key) == ("error", True)
    assert of(ran, "clock") == [("warn", "no response has the server's time → nothing to do")]


def test_a_server_without_tls_is_told_from_a_network_that_fails(run: Run, serve: Serve) -> None:
    url = serve(Sandbox()).replace("http://", "https://")
    ran = run("doctor", "--base-url", url)
    ((state, key),) = of(ran, "key")
    assert (ran.code, state) == (1, "error")
    assert key.endswith(
        " → check --base-url or SYNCRO_BASE_URL: its port, and whether it begins with https:// or http://"
    )


def test_a_certificate_that_nobody_vouches_for_has_its_cure(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SYNCRO_API_KEY", "crm_any")
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    # The handshake is in the thread of the connection, so that its failure ends nothing else.
    server.socket = server_side("good", tmp_path).wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    monkeypatch.setattr(server, "handle_error", lambda *_: None)
    thread.start()
    try:
        ran = run("doctor", "--base-url", f"https://localhost:{server.server_port}/api/v1")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    ((_, key),) = of(ran, "key")
    assert "certificate verify failed" in key
    assert key.endswith(
        "if it is right, set SSL_CERT_FILE to the certificate of the CA that signed the server's"
    )


def states(outcomes: dict[str, Any], budget: Any = FREE) -> dict[str, str]:
    return {found.subject: found.state for found in checks(outcomes, 2.0, budget, shared=False)}


def test_a_spent_budget_is_told_once_and_is_no_fault_of_the_network(
    run: Run, serve: Serve, tmp_path: Path
) -> None:
    sandbox = Sandbox(leads=1)
    serve(sandbox)
    limiter = f"sqlite://{tmp_path}/budget.db"
    spend(limiter)
    before = len(sandbox.arrivals)
    ran = run("doctor", "--limiter", limiter)
    assert (ran.code, len(sandbox.arrivals)) == (0, before)
    ((state, budget),) = of(ran, "budget")
    what = r"all 60 calls in 60 s are used, by other programs → run this again in [3-6]\d s"
    assert state == "warn"
    assert re.fullmatch(what, budget)
    assert of(ran, "key") == [("warn", "not checked: no call is free → see the budget below")]
    assert "network" not in ran.out
    assert "fix the errors" not in ran.out


def spend(limiter: str) -> None:
    async def work() -> None:
        async with AsyncClient(limiter=limiter) as syncro:
            await asyncio.gather(*(syncro.leads.get(1) for _ in range(60)))

    asyncio.run(work())


@pytest.mark.parametrize(
    ("trouble", "requests", "told"),
    [
        (
            Trouble(status=404, body=b"<h1>nothing here</h1>", times=20),
            1,
            f"GET /account → 404 → {NOT_THE_API}",
        ),
        (
            Trouble(status=200, body=b"<html>log in</html>", times=20),
            1,
            f"GET /account → 200 → {NOT_THE_API}",
        ),
        (
            Trouble(status=302, headers={"Location": "https://login.example/"}, times=20),
            1,
            f"GET /account → 302 → {NOT_THE_API}",
        ),
        (
            Trouble(status=200, body={"data": "nothing like it"}, times=20),
            2,
            f"GET /account → 200 → {NOT_THE_API}",
        ),
        (
            Trouble(status=500, times=20),
            2,
            "GET /account → 500 → the server fails: run this again later",
        ),
    ],
)
def test_what_the_first_answers_settle_is_told_once(
    run: Run, serve: Serve, trouble: Trouble, requests: int, told: str
) -> None:
    sandbox = Sandbox(leads=5)
    sandbox.script(trouble)
    serve(sandbox)
    ran = run("doctor")
    ((state, key),) = of(ran, "key")
    assert (ran.code, state) == (1, "error")
    call, status, cure = told.split(" → ")
    assert f"{call} → {status}" in key
    assert key.endswith(f" → {cure}")
    assert len(sandbox.arrivals) == requests
    assert ran.out.count(call) == 1
    assert of(ran, "scope") == []


def test_the_checks_are_json_when_asked_for(run: Run, serve: Serve) -> None:
    serve(Sandbox(leads=5))
    code, out, _ = run("doctor", "--json")
    told = json.loads(out)
    assert (code, told["ok"]) == (0, True)
    assert told["checks"][0] == {
        "state": "ok",
        "subject": "key",
        "result": "the API accepts it",
        "advice": "nothing to do",
    }


def test_a_queue_of_other_programs_is_no_fault() -> None:
    assert states({"users:read": BudgetWaitError("long", wait_needed=40.0)})["budget"] == "warn"


def test_a_limiter_that_is_out_of_reach_is_to_be_mended_before_anything_is_sent(
    run: Run, serve: Serve
) -> None:
    sandbox = Sandbox(leads=1)
    serve(sandbox)
    ran = run("doctor", "--limiter", "redis://127.0.0.1:9/0")
    assert ran.code == 1
    ((state, limiter),) = of(ran, "limiter")
    assert (state, limiter.endswith("→ check --limiter or SYNCRO_LIMITER")) == ("error", True)
    assert of(ran, "key") == [("warn", "unknown → fix the errors above first")]
    assert sandbox.arrivals == []


def test_the_budget_is_the_one_that_all_programs_share(
    run: Run, serve: Serve, tmp_path: Path
) -> None:
    serve(Sandbox(leads=1))
    for free in (53, 46):
        ran = run("doctor", "--limiter", f"sqlite://{tmp_path}/budget.db")
        ((_, budget),) = of(ran, "budget")
        assert budget.startswith(f"{free} of 60 calls in 60 s are free")
        shared = "reachable, and shared by all programs that use it → nothing to do"
        assert of(ran, "limiter") == [("ok", shared)]


def test_what_the_server_writes_cannot_break_a_line(run: Run, serve: Serve) -> None:
    sandbox = Sandbox(leads=1)
    name = {"account": {"id": 1, "name": "a\n\x1b[2Jb", "plan": None}}
    sandbox.script(Trouble(body=name, path="/account"))
    serve(sandbox)
    ran = run("doctor")
    assert "\x1b" not in ran.out
    assert of(ran, "account")[0][1].startswith("a ?[2Jb (id 1")
    found = checks({"users:read": 1}, 0.0, FREE, shared=True)
    assert {len(line(finding).splitlines()) for finding in found} == {1}
