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
    ("export_leads", {"destination": "https://example.com/leads.csv"}, "destination"),
    ("sync_leads", {"database": "s3://crm/leads.db"}, "database"),
    ("upsert_leads", {"rows": "https://example.com/rows.csv"}, "rows"),
    ("plan_import", {"rows": "sftp://example.com/rows.csv"}, "rows"),
    ("create_leads", {"rows": ROWS, "journal": "s3://crm/rows.journal"}, "journal"),
    ("create_leads", {"rows": ROWS, "failures": "s3://crm/failed.csv"}, "failures"),
    ("create_leads", {"rows": ROWS, "report": "s3://crm/report.jsonl"}, "report"),
    ("undo_import", {"report": "https://example.com/report.jsonl"}, "report"),
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


FILES: list[tuple[str, dict[str, Any]]] = [
    ("export_leads", {"destination": "none/file.csv"}),
    ("sync_leads", {"database": "none/file.db"}),
    ("upsert_leads", {"rows": "none/file.csv"}),
    ("upsert_leads", {"rows": ROWS, "journal": "none/file.journal"}),
    ("create_leads", {"rows": ROWS, "failures": "none/file.csv"}),
    ("create_leads", {"rows": ROWS, "report": "none/file.jsonl"}),
]


@pytest.mark.parametrize(("job", "arguments"), FILES, ids=stable_id)
async def test_a_file_in_a_missing_folder_is_refused_before_the_first_request(
    job: str, arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = App()
    async with client_of(app) as client:
        with pytest.raises(FileNotFoundError, match=r"its folder does not exist.*none/file\.\w+'$"):
            await getattr(client.bulk, job)(**arguments)
        (tmp_path / "none").touch()
        with pytest.raises(NotADirectoryError, match=r"none is a file.*none/file\.\w+'$"):
            await getattr(client.bulk, job)(**arguments)
    assert app.asked == []


@pytest.mark.parametrize("options", [{"timeout": 10**400}, {"timeout": 1e9}, {"dialect": "syncro"}])
def test_a_client_refuses_it(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigurationError, match=f"^{name}"):
        AsyncClient("key", **options)
