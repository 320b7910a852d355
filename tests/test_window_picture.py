"""The picture in the guide to the budget shows what the limiter does today."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.window_picture import CALLS, RATE, fullest, picture, rows_of, run

PICTURE = Path(__file__).parent.parent / "docs" / "window.svg"


async def test_it_is_drawn_from_a_run_of_the_client() -> None:
    sent = await run()
    assert PICTURE.read_text(encoding="utf-8") == picture(sent)
    assert ET.fromstring(picture(sent)).tag.endswith("svg")  # noqa: S314  # our own


async def test_no_slot_is_taken_twice_and_no_window_overfull() -> None:
    sent = await run()
    assert len(sent) == CALLS
    rows = rows_of(sent)
    for slot in range(RATE.calls):
        own = [one for row, one in rows if row == slot]
        assert len(own) >= 3
        assert all(later.left >= earlier.free_again for earlier, later in pairwise(own))
    assert fullest(sent)[1] == RATE.calls
