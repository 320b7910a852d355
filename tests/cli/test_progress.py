from __future__ import annotations

import io
import re

from rich.console import Console

from syncro_async.cli.output import bar


def shown(*, now: float = 0.0, left: float | None = None, done: int = 200) -> str:
    screen = io.StringIO()
    moments = [now]
    console = Console(file=screen, force_terminal=True, width=100)
    with bar(console=console, now=lambda: moments[0]) as it:
        if left is not None:
            it.advance(done=done, total=1000, left=left)
            moments[0] += 10.0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    return [frame for frame in re.split(r"[\r\n]+", text) if frame][-1]


def test_the_bar_counts_down_between_two_pages() -> None:
    line = shown(now=5.0, left=3700.0)
    assert "200/1000" in line
    assert "1:01:30 left" in line


def test_the_bar_never_shows_less_than_nothing_left() -> None:
    assert "0:00:00 left" in shown(left=3.0)


def test_before_the_first_page_and_after_the_last_no_time_is_shown() -> None:
    assert "left" not in shown()
    assert "left" not in shown(left=5.0, done=1000)
