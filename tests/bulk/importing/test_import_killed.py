from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

import syncro_async
from syncro_async import ImportSummary
from syncro_async.sandbox import Sandbox, Trouble, serving

PROGRAM = Path(__file__).with_name("killed_importer.py")
SEED = 20260630


def losing(sandbox: Sandbox, requests: int) -> None:
    """Of so many writes every tenth or so loses its answer, some before they were carried out."""
    dice = random.Random(SEED)  # noqa: S311  # to be the same every time
    for _ in range(requests):
        luck = dice.random()
        sandbox.script(
            Trouble(
                lose_answer=luck < 0.08, reset=0.08 <= luck < 0.11, method="POST", path="/leads"
            )
        )


def written(path: Path, count: int) -> None:
    lines = ["name,email,pipeline_id,stage_id"]
    lines += [f"Lead {number},row.{number}@example.com,1,4" for number in range(count)]
    path.write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.timeout(170)  # fifty processes begin, and are ended, one after the other
@pytest.mark.parametrize(("kind", "count", "kills"), [("create", 500, 50), ("upsert", 150, 10)])
def test_every_row_is_at_the_server_once_however_often_the_import_is_killed(
    tmp_path: Path, kind: str, count: int, kills: int
) -> None:
    rows, journal = tmp_path / "rows.csv", tmp_path / "rows.journal"
    written(rows, count)
    sandbox = Sandbox(20, per_minute=1_000_000)
    for lead_id in sandbox.leads if kind == "upsert" else ():
        sandbox.leads[lead_id]["email"] = f"row.{lead_id}@example.com"
    losing(sandbox, 4 * count)
    with serving(sandbox) as url:
        words = [url, kind, str(rows), str(journal), str(kills), str(SEED)]
        said = subprocess.run(
            [sys.executable, str(PROGRAM), *words],
            cwd=Path(syncro_async.__file__).parents[1],
            env={"PYTHONPATH": str(Path(syncro_async.__file__).parents[1])},
            capture_output=True,
            text=True,
            check=False,
        )
    assert said.returncode == 0, said.stderr
    summary = msgspec.json.decode(said.stdout, type=ImportSummary)
    held = Counter(lead["email"] for lead in sandbox.leads.values())
    assert all(held[f"row.{number}@example.com"] == 1 for number in range(count))
    known = 20 if kind == "upsert" else 0
    assert (summary.total, summary.created, summary.updated) == (count, count - known, known)
    assert (summary.failed, summary.in_doubt, summary.unsent) == (0, 0, 0)
    assert sandbox.refused == 0
