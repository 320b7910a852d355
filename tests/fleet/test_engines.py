"""The examples on real workers with a real Redis: workers are killed, and the server counts.

It is the short form of `benchmarks/fleet.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fleet import make_fleet, run_engine, run_import

# So many leads take 45 to 49 requests: less than a window.
LEADS = [110, 115, 120]
pytestmark = pytest.mark.timeout(170)


def test_workers_of_taskiq_are_killed_and_no_account_suffers(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, 12, LEADS, minute=2.0)
    found = run_engine(fleet, "taskiq", count=2, kills=2, reclaim=3.0, patience=120.0)
    assert found.complaints() == []
    assert len(found.killed) == 2
    assert found.receipts["account-000"]["reason"] == "GET /account → 401: API Key inválida."
    assert found.receipts["account-001"]["reason"] == "GET /account → 403: Conta inativa."


def test_a_worker_of_celery_is_killed_and_no_account_suffers(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, 6, LEADS, minute=2.0)
    found = run_engine(fleet, "celery", count=2, kills=1, reclaim=4.0, patience=120.0)
    assert found.complaints() == []
    assert len(found.killed) == 1


def test_three_workers_import_with_one_key(tmp_path: Path) -> None:
    log, emails, complaints = run_import(tmp_path, rows=24, minute=2.0, patience=120.0)
    assert complaints == []
    assert [each for each in log if each.status == 429] == []
    assert len({each.group for each in log}) == 3
    # Of 24, 23 and 22 rows each is a lead, and no row is two.
    assert len(emails) == len(set(emails)) == 69
