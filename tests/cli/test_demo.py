from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from syncro_async import ImportSummary, RateLimit, SyncReceipt
from syncro_async.cli.demo import DemoStats, JobsDone, Result, make_folder, report, report_jobs
from syncro_async.cli.exits import CommandFailedError
from tests.cli.run_cli import Ran, Run, finish, lines, names, said, start


def demo(*words: str) -> Ran:
    """A demo in a process of its own.

    In this one another test's slots may still be taken, at a port that the demo's sandbox got
    again: the same budget, with other rates.
    """
    return finish(start("demo", *words))


def test_the_demo_exports_imports_and_syncs_without_loss_and_keeps_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCRO_API_KEY", "crm_of_another")
    monkeypatch.setenv("SYNCRO_BASE_URL", "http://127.0.0.1:9/api/v1")
    code, out, err = demo("--leads", "12300", "--minute", "1")
    assert (code, said(err)) == (0, [])
    told = dict(re.split(r"  +", line) for line in out.splitlines())
    assert told["leads"] == "12300 distinct of 12300"
    assert told["requests"] == "65 for 62 pages"  # the leads of the sandbox are old: read once
    assert told["429s"] == "0 (client), 0 (sandbox)"
    assert re.fullmatch(r"\d+\.\d%", told["share of bound"])
    assert told["file"] == str(Path("syncro-demo", "leads.jsonl"))
    assert told["folder"] == str((folder / "syncro-demo").resolve())
    assert re.match(r"150 rows: 150 created, 0 failed, 156 requests in ", told["import"])
    assert told["sync"] == "550 leads to a new SQLite table; at once again: 0 new, 0 changed"
    assert told["429s of both"] == "0"
    assert names(folder) == ["syncro-demo"]
    kept = folder / "syncro-demo"
    assert {"crm.db", "leads.jsonl"} <= {*names(kept)}
    assert len({json.loads(line)["id"] for line in lines(kept / "leads.jsonl")}) == 12300


def test_the_demo_replaces_its_own_files_only(folder: Path) -> None:
    made = make_folder(folder / "syncro-demo")
    for name in ("leads.jsonl", "crm.db", "rows.journal", "mine.txt"):
        (made / name).write_text("earlier", encoding="utf-8")
    make_folder(made)
    assert names(made) == [".syncro-demo", "mine.txt"]


def test_a_folder_of_others_is_left_alone(run: Run, folder: Path) -> None:
    (folder / "syncro-demo").mkdir()
    (folder / "syncro-demo" / "leads.jsonl").write_text("mine", encoding="utf-8")
    code, out, err = run("demo")
    assert (code, out) == (2, "")
    assert "syncro-demo exists and is not of a demo" in err
    assert lines(folder / "syncro-demo" / "leads.jsonl") == ["mine"]


@pytest.mark.parametrize(
    ("came", "refused_here", "refused_there"), [((1,), 0, 0), ((1, 2), 1, 0), ((1, 2), 0, 1)]
)
def test_a_lost_lead_or_a_429_fails_the_demo(
    capsys: pytest.CaptureFixture[str], came: tuple[int, ...], refused_here: int, refused_there: int
) -> None:
    result = Result(2, RateLimit(60, 5.0), DemoStats(refused=refused_here))
    result.ids.update(came)
    with pytest.raises(CommandFailedError, match="lost or requests refused"):
        report(result, lambda: refused_there)
    assert f"{len(came)} distinct of 2" in capsys.readouterr().out


def test_a_demo_without_loss_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    result = Result(2, RateLimit(60, 5.0), DemoStats())
    result.ids.update((1, 2))
    assert report(result, lambda: 0) == 0
    out = capsys.readouterr().out
    assert "2 distinct of 2" in out
    assert "not bounded" in out  # it fits the first minute


def synced(inserted: int, updated: int = 0, *, complete: bool = True) -> SyncReceipt:
    return SyncReceipt(inserted, inserted, updated, None, None, complete=complete)


def imported(created: int) -> ImportSummary:
    return ImportSummary(150, created, 0, 0, 150 - created, 0, requests=150, seconds=11.0)


@pytest.mark.parametrize(
    ("done", "refused"),
    [
        (JobsDone(imported(150), synced(550), synced(0)), 1),
        (JobsDone(imported(149), synced(549), synced(0)), 0),
        (JobsDone(imported(150), synced(549), synced(1)), 0),
        (JobsDone(imported(150), synced(550, complete=False), synced(0)), 0),
        (JobsDone(imported(150), synced(550), synced(0, 3)), 0),
    ],
)
def test_a_lost_row_or_a_429_fails_the_demo(
    capsys: pytest.CaptureFixture[str], done: JobsDone, refused: int
) -> None:
    with pytest.raises(CommandFailedError, match="rows were lost or requests refused"):
        report_jobs(done, lambda: refused)
    assert f"429s of both    {refused}" in capsys.readouterr().out
