"""The pictures and tables of the docs show what was measured, and what the limiter does today."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from html import unescape
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from benchmarks import pictures
from benchmarks.harness import Report
from benchmarks.report import FOUND, PAGE, PICTURES, alts, bound, drawn, with_alts, written
from benchmarks.window_run import CALLS, RATE, fullest, rows_of, run

README = Path(__file__).parent.parent / "README.md"
NAMES = ("window", "arrivals", "makespan", "cpu", "visitors")


@pytest.fixture(scope="module")
def found() -> dict[str, Report]:
    return msgspec.json.decode(FOUND.read_bytes(), type=dict[str, Report])


def texts(svg: str) -> list[str]:
    whole = ET.fromstring(svg)  # noqa: S314 - our own
    return [text.strip() for text in whole.itertext() if text.strip()]


def test_each_picture_is_of_what_was_found_for_light_and_for_dark_paper(
    found: Mapping[str, Report],
) -> None:
    kept = {path.name: path.read_text(encoding="utf-8") for path in PICTURES.iterdir()}
    assert {*kept} == {f"{name}-{paper}.svg" for name in NAMES for paper in ("light", "dark")}
    for name, papers in drawn(found).items():
        for paper, svg in papers.items():
            # The bytes also depend on the release of matplotlib; what the picture says does not.
            told = f"{name}: run python -m benchmarks.report --draw"
            assert texts(kept[f"{name}-{paper}.svg"]) == texts(svg), told


def test_a_picture_is_drawn_with_the_same_bytes_again() -> None:
    sent = asyncio.run(run())
    once, again = (pictures.both(pictures.slots, sent) for _ in range(2))
    assert once == again
    assert once["light"] != once["dark"]
    assert len(once["light"]) < 60_000


def test_the_page_has_the_tables_of_what_was_found(found: Mapping[str, Report]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page, found) == page
    assert "Not measured yet" not in page


def test_the_alt_texts_say_the_results(found: Mapping[str, Report]) -> None:
    said = alts(found)
    for place in (README, PAGE):
        text = place.read_text(encoding="utf-8")
        assert with_alts(text, said) == text
    readme = unescape(README.read_text(encoding="utf-8"))
    assert said["arrivals"] in readme
    assert said["visitors"] in readme
    assert "syncro_async: 0 answered 429, 0 lost" in readme


def test_the_bound_is_a_window_for_each_full_budget_before_the_last_call() -> None:
    assert bound(300, 60, 3.0) == pytest.approx(4 * (3.25 + 0.035) + 0.035)
    assert bound(60, 60, 3.0) == pytest.approx(0.035)


async def test_no_slot_is_taken_twice_and_no_window_overfull() -> None:
    sent = await run()
    assert len(sent) == CALLS
    rows = rows_of(sent)
    for slot in range(RATE.calls):
        own = [one for row, one in rows if row == slot]
        assert len(own) >= 3
        assert all(later.left >= earlier.free_again for earlier, later in pairwise(own))
    assert fullest(sent)[1] == RATE.calls
