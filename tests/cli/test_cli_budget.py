from __future__ import annotations

import pytest

from syncro_async.sandbox import Sandbox
from tests.cli.running import Run, Serve


def test_the_budget_is_a_table_and_costs_no_request(run: Run, serve: Serve) -> None:
    sandbox = Sandbox(leads=1)
    serve(sandbox)
    code, out, err = run("budget")
    assert (code, err) == (0, "")
    table = {
        cells[1].strip(): cells[2].strip()
        for line in out.splitlines()
        if len(cells := line.split("│")) > 2
    }
    assert table == {
        "limit": "60",
        "window": "60 s",
        "available": "60",
        "in flight": "0",
        "waiting": "0",
        "next free in": "0.0 s",
    }
    assert sandbox.arrivals == []


def test_the_budget_is_that_of_the_address_asked_for(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(Sandbox(leads=1))
    assert run("leads", "export", "-").code == 0
    # One limiter serves one address and key in a process, and the export has used one slot of it.
    assert " 59 " in run("budget", "--base-url", url).out
    assert " 60 " in run("budget", "--base-url", "http://127.0.0.1:9/api/v1").out
