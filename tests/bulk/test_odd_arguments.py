"""An argument of a job that cannot be used is refused by name, and nothing is sent."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from syncro_async import AsyncClient, InvalidArgumentError
from syncro_async.errors import ConfigurationError
from tests.stable_ids import stable_id
from tests.transport.scripted_app import App, client_of

ROWS = [{"name": "A", "email": "a@example.com", "pipeline_id": 1, "stage_id": 4}]
JOBS: list[tuple[str, dict[str, Any], str]] = [
    ("export_leads", {"destination": object()}, "destination"),
    ("export_leads", {"destination": "\ud800.csv"}, "destination"),
    ("sync_leads", {"database": 5}, "database"),
    ("plan_sync", {"database": b"\x00.db"}, "database"),
    ("upsert_leads", {"rows": ROWS, "match_by": {"a": 1}}, "match_by"),
    ("upsert_leads", {"rows": ROWS, "columns": "name"}, "columns"),
    ("create_leads", {"rows": ROWS, "defaults": [1]}, "defaults"),
    ("create_leads", {"rows": ROWS, "columns": {"a": object()}}, "columns"),
    ("plan", {"requests": 10**400}, "requests"),
    ("plan", {"requests": 10**15}, "requests"),
]


@pytest.mark.parametrize(("job", "arguments", "name"), JOBS, ids=stable_id)
async def test_a_job_refuses_it(
    job: str, arguments: dict[str, Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = App()
    async with client_of(app) as client:
        with pytest.raises(InvalidArgumentError, match=f"^{name}"):  # noqa: PT012  # some are sync
            result = getattr(client.bulk, job)(**arguments)
            if inspect.isawaitable(result):
                await result
    assert app.asked == []


@pytest.mark.parametrize("options", [{"timeout": 10**400}, {"timeout": 1e9}, {"dialect": "syncro"}])
def test_a_client_refuses_it(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigurationError, match=f"^{name}"):
        AsyncClient("key", **options)
