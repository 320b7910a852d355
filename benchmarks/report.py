"""Asks every question of the benchmarks, and writes one table and the pictures of it.

    python -m benchmarks.report [--quick] [--to benchmarks/results] [QUESTION …]

Each question is a program of its own, and runs in a process of its own. What it found is kept
beside the table as JSON, so that a question that is asked again leaves the others' answers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks import drawing
from benchmarks.contestants import (
    DISTRIBUTIONS,
    AioAmoCrm,
    ByHand,
    ByHandDivided,
    OpenAiCore,
    Ours,
    OursOverAiohttp,
)
from benchmarks.harness import Report, machine, table
from benchmarks.peers_limit import CALLS, LIMIT, WINDOW

QUESTIONS = (
    "calls",
    "stream",
    "import_time",
    "budget_used",
    "queueing",
    "lanes",
    "many_keys",
    "peers_cost",
    "peers_limit",
    "peers_stream",
)
HERE = Path(__file__).parent
RESULTS = HERE / "results"
SHORT = {
    ByHand.NAME: "httpx + tenacity + aiolimiter",
    ByHandDivided.NAME: "… a share each",
    OursOverAiohttp.NAME: "syncro_async + aiohttp",
}
# The peers of the picture that explains the product.
PICTURED = {
    Ours.NAME: "syncro_async",
    ByHand.NAME: "httpx + aiolimiter",
    AioAmoCrm.NAME: "aioamocrm",
    OpenAiCore.NAME: "openai's core",
}


def put(question: str, *, quick: bool) -> Report:
    """Run its program."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "found.json")
        command = [sys.executable, "-m", f"benchmarks.{question}", "--json", str(file)]
        subprocess.run(command + ["--quick"] * quick, check=True, cwd=HERE.parent)  # noqa: S603 - our own
        return msgspec.json.decode(file.read_bytes(), type=Report)


def written(found: Mapping[str, Report]) -> str:
    """The table, and what it is of."""
    rows = [row for question in QUESTIONS if question in found for row in found[question].rows]
    verdicts = Counter(row.verdict for row in rows if row.verdict)
    said = ", ".join(f"{verdicts[name]} {name}" for name in ("pass", "near", "miss"))
    lines = (
        "# What the benchmarks found",
        "",
        "Written by `nox -s bench`. CPU is process CPU time, the server has a process of its own,",
        "figures are medians of rounds taken in turn, ± half the distance of the quartiles. *near*",
        "is past the bar by less than the noise or 2 %. Each program says in its first lines how",
        "it measures.",
        "",
        f"On: {machine(*DISTRIBUTIONS)}.",
        "",
        f"Bars: {said}.",
        "",
        table(rows),
        "",
    )
    return "\n".join(lines)


def pictures(found: Mapping[str, Report]) -> dict[str, str]:
    """The pictures that can be drawn of it, by name."""
    drawn = {}
    if "peers_limit" in found:
        runs = [
            run | {"label": SHORT.get(run["who"], run["who"])}
            for run in found["peers_limit"].series["limit"]
        ]
        most = max(run["processes"] for run in runs)
        panels = [
            run | {"label": PICTURED[run["who"]]}
            for run in runs
            if run["who"] in PICTURED and run["processes"] == most
        ]
        what = f"at a limit of {LIMIT} in {WINDOW:g} s"
        drawn["arrivals.svg"] = drawing.arrivals(panels, WINDOW, LIMIT, most)
        drawn["makespan.svg"] = drawing.makespans(runs, CALLS, what)
    if "peers_cost" in found:
        calls = found["peers_cost"].series["calls"]
        drawn["cpu.svg"] = drawing.costs({SHORT.get(who, who): calls[who] for who in calls})
    return drawn


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, write, and say where."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    parser.add_argument("--quick", action="store_true", help="tiny numbers, to see that it runs")
    parser.add_argument("--to", type=Path, default=RESULTS, help="the folder to write to")
    given = parser.parse_args(arguments)
    unknown = set(given.questions) - set(QUESTIONS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    began = time.perf_counter()
    given.to.mkdir(parents=True, exist_ok=True)
    kept = given.to / "found.json"
    found: dict[str, Report] = {}
    if kept.exists() and given.questions:
        found = msgspec.json.decode(kept.read_bytes(), type=dict[str, Report])
    for question in given.questions or QUESTIONS:
        sys.stdout.write(f"\n{question}: ")
        sys.stdout.flush()
        found[question] = put(question, quick=given.quick)
    kept.write_bytes(msgspec.json.encode(found))
    (given.to / "table.md").write_text(written(found), encoding="utf-8")
    for name, picture in pictures(found).items():
        (given.to / name).write_text(picture, encoding="utf-8")
    sys.stdout.write(f"\nAll of that took {time.perf_counter() - began:.0f} s.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
