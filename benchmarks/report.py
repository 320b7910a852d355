"""Asks every question of the benchmarks, and writes the page about them with its pictures.

    python -m benchmarks.report [--quick] [--draw] [--to FOLDER] [QUESTION …]

Each question is a program of its own, and runs in a process of its own. What it found is kept in
benchmarks/results/found.json with its day, so that a question that is asked again leaves the
others' answers. The tables go into docs/benchmarks.md between marks, the pictures into
docs/pictures, and their alt texts to the places that show them. `--draw` asks nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import pictures, window_run
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
from benchmarks.peers_at_work import LIMIT_LATENCY
from benchmarks.peers_limit import CALLS, LIMIT, WINDOW
from syncro_async import RateLimit

QUESTIONS = (
    "calls",
    "engines",
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
ROOT = Path(__file__).parent.parent
FOUND = ROOT / "benchmarks" / "results" / "found.json"
PAGE = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "pictures"
# Where pictures are shown.
SHOWN_IN = (ROOT / "README.md", PAGE)
SHORT = {
    ByHand.NAME: "httpx + tenacity + aiolimiter",
    ByHandDivided.NAME: "… with a share each",
    OursOverAiohttp.NAME: "syncro_async + aiohttp",
}
# The peers of the picture that explains the product.
PICTURED = {
    Ours.NAME: "syncro_async",
    ByHand.NAME: "httpx + aiolimiter",
    AioAmoCrm.NAME: "aioamocrm",
    OpenAiCore.NAME: "openai's core",
}

Found = dict[str, Report]


def put(question: str, *, quick: bool) -> Report:
    """Run its program."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "found.json")
        command = [sys.executable, "-m", f"benchmarks.{question}", "--json", str(file)]
        subprocess.run(command + ["--quick"] * quick, check=True, cwd=ROOT)  # noqa: S603 - our own
        report = msgspec.json.decode(file.read_bytes(), type=Report)
    report.measured = datetime.now(UTC).date().isoformat()
    report.on = machine(*DISTRIBUTIONS)
    return report


# --------------------------------------------------------------------------------------------- page


def block(question: str, found: Mapping[str, Report]) -> str:
    """What the page has between the marks of a question."""
    if question == "versions":
        return "\n".join(
            f"- {when}: {', '.join(f'`{name}`' for name in names)}. {on}."
            for (when, on), names in _runs(found).items()
        )
    if question == "bars":
        verdicts = Counter(row.verdict for each in found.values() for row in each.rows)
        said = ", ".join(f"{verdicts[name]} {name}" for name in ("pass", "near", "miss"))
        return f"Bars: {said}."
    report = found.get(question)
    if report is None:
        return "Not measured yet."
    return f"Measured on {report.measured}.\n\n{table(report.rows)}"


def _runs(found: Mapping[str, Report]) -> dict[tuple[str, str], list[str]]:
    runs: dict[tuple[str, str], list[str]] = {}
    for name, report in found.items():
        runs.setdefault((report.measured, report.on), []).append(name)
    return dict(sorted(runs.items()))


def written(page: str, found: Mapping[str, Report]) -> str:
    """The page with the tables of what was found."""

    def put_in(mark: re.Match[str]) -> str:
        begin, question, end = mark.groups()
        return f"{begin}\n\n{block(question, found)}\n\n{end}"

    return re.sub(r"(<!-- found: (\w+) -->).*?(<!-- end -->)", put_in, page, flags=re.DOTALL)


def with_alts(text: str, said: Mapping[str, str]) -> str:
    """The text with the alt text of each picture."""
    for name, alt in said.items():
        image = rf'(<img src="[^"]*{name}-light\.svg" alt=")[^"]*"'
        text = re.sub(image, lambda mark, alt=alt: f'{mark[1]}{escape(alt)}"', text)  # type: ignore[misc]
    return text


# ----------------------------------------------------------------------------------------- pictures


def _limit_runs(found: Mapping[str, Report]) -> list[dict[str, Any]]:
    if "peers_limit" not in found:
        return []
    runs = found["peers_limit"].series["limit"]
    return [run | {"label": SHORT.get(run["who"], run["who"])} for run in runs]


def _calls(found: Mapping[str, Report]) -> dict[str, Any]:
    calls = found["peers_cost"].series["calls"]
    return {SHORT.get(who, who): calls[who] for who in calls}


def _panels(runs: Sequence[Mapping[str, Any]], most: int) -> list[dict[str, Any]]:
    return [
        {**run, "label": PICTURED[run["who"]]}
        for run in runs
        if run["who"] in PICTURED and run["processes"] == most
    ]


def bound(calls: int, limit: int, window: float) -> float:
    """When the last of so many calls may end, for who knows only sending and answering (s)."""
    latency = sum(LIMIT_LATENCY) / 2
    hold = RateLimit(limit, window).hold_seconds
    return (calls - 1) // limit * (hold + latency) + latency


def alts(found: Mapping[str, Report]) -> dict[str, str]:
    """What each picture says, by its name."""
    runs = _limit_runs(found)
    most = max((run["processes"] for run in runs), default=0)
    said = {}
    if runs:
        said["arrivals"] = pictures.about_arrivals(_panels(runs, most), CALLS, most)
        said["makespan"] = pictures.about_makespan(runs, CALLS, bound(CALLS, LIMIT, WINDOW))
    if "peers_cost" in found:
        said["cpu"] = pictures.about_cost(_calls(found))
    if "lanes" in found:
        said["visitors"] = pictures.about_visitors(found["lanes"].series["visits"])
    return said


def drawn(found: Mapping[str, Report]) -> dict[str, dict[str, str]]:
    """The pictures that can be drawn, by name and paper."""
    made = {"window": pictures.both(pictures.slots, asyncio.run(window_run.run()))}
    if runs := _limit_runs(found):
        panels = _panels(runs, max(run["processes"] for run in runs))
        least = bound(CALLS, LIMIT, WINDOW)
        made["arrivals"] = pictures.both(pictures.arrivals, panels, WINDOW, LIMIT)
        made["makespan"] = pictures.both(pictures.makespan, runs, CALLS, least)
    if "peers_cost" in found:
        made["cpu"] = pictures.both(pictures.cost, _calls(found))
    if "lanes" in found:
        made["visitors"] = pictures.both(pictures.visitors, found["lanes"].series["visits"])
    return made


# ------------------------------------------------------------------------------------------ writing


def write(found: Mapping[str, Report], to: Path | None) -> None:
    """Write what was found, the page and the pictures; to their places, or all to a folder."""
    kept, page, folder = (
        (FOUND, PAGE, PICTURES) if to is None else (*(to / "found.json", to / "benchmarks.md"), to)
    )
    for each in (kept.parent, folder):
        each.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    page.write_text(written(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    for name, papers in drawn(found).items():
        for paper, svg in papers.items():
            (folder / f"{name}-{paper}.svg").write_text(svg, encoding="utf-8")
    said = alts(found)
    for place in SHOWN_IN if to is None else (page,):
        place.write_text(with_alts(place.read_text(encoding="utf-8"), said), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, write, and say where."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    parser.add_argument("--quick", action="store_true", help="tiny numbers, to see that it runs")
    parser.add_argument("--draw", action="store_true", help="ask nothing: write what was found")
    parser.add_argument("--to", type=Path, help="one folder for all that is written")
    given = parser.parse_args(arguments)
    unknown = set(given.questions) - set(QUESTIONS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    began = time.perf_counter()
    kept = FOUND if given.to is None else given.to / "found.json"
    found: Found = {}
    if kept.exists() and (given.questions or given.draw):
        found = msgspec.json.decode(kept.read_bytes(), type=Found)
    for question in () if given.draw else given.questions or QUESTIONS:
        sys.stdout.write(f"\n{question}: ")
        sys.stdout.flush()
        found[question] = put(question, quick=given.quick)
    write(found, given.to)
    sys.stdout.write(f"\nAll of that took {time.perf_counter() - began:.0f} s.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
