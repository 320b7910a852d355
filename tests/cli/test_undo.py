"""`syncro leads undo`: an import is taken back by its report."""

from __future__ import annotations

from pathlib import Path

from syncro_async.sandbox import WON_STAGE_ID, Sandbox
from tests.cli.run_cli import Run, Serve


def test_an_import_is_taken_back_after_a_dry_run(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(0, per_minute=10_000)
    serve(sandbox)
    rows = "name,email,pipeline_id,stage_id\nAna,a@example.com,1,4\nBia,b@example.com,1,4\n"
    (folder / "rows.csv").write_text(rows, encoding="utf-8")
    assert run("leads", "import", "rows.csv", "--report", "report.jsonl").code == 0
    assert len(sandbox.leads) == 2

    code, out, err = run("leads", "undo", "report.jsonl", "--dry-run")
    assert code == 0
    assert "deleted lead" in out
    assert "2 leads would be deleted" in err
    assert len(sandbox.leads) == 2

    code, out, err = run("leads", "undo", "report.jsonl")
    assert (code, len(out.splitlines())) == (0, 2)
    assert "2 leads deleted, 0 restored, 0 kept, 0 gone" in err
    assert not sandbox.leads


def test_a_file_that_is_no_report_is_wrong_usage(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(0)
    serve(sandbox)
    (folder / "rows.csv").write_text("name\nAna\n", encoding="utf-8")
    assert run("leads", "undo", "rows.csv").code == 2
    assert sandbox.arrivals == []


def test_empty_cells_and_sales_are_counted(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(3, per_minute=10_000)
    serve(sandbox)
    lead = next(lead for lead in sandbox.leads.values() if lead["email"])
    rows = f"name,email,source\n{lead['name']},{lead['email']},\n"
    (folder / "rows.csv").write_text(rows, encoding="utf-8")
    ran = run("leads", "import", "rows.csv", "--dry-run", "--set", "pipeline_id=1")
    assert ran.code == 0
    assert "empty cells that change nothing, so that leads keep their values: 1" in ran.err
    won = f"name,email,pipeline_id,stage_id\nAna,new@example.com,1,{WON_STAGE_ID}\n"
    (folder / "won.csv").write_text(won, encoding="utf-8")
    ran = run("leads", "import", "won.csv", "--dry-run")
    assert "1 sale and 0 losses would be recorded" in ran.err
