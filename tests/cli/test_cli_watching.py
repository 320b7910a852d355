from __future__ import annotations

import pytest

from syncro_async import Progress
from syncro_async.cli.watching import watched


def at(seconds: float, *, left: float | None = 200.0, total: int | None = 1000) -> Progress:
    return Progress(
        job="export",
        phase="reading",
        done=400,
        total=total,
        requests=2,
        seconds=seconds,
        rate=8.0,
        seconds_left=left,
    )


def test_without_a_terminal_a_line_is_said_every_minute(capsys: pytest.CaptureFixture[str]) -> None:
    with watched("leads", shown=False) as tell:
        for seconds in (1.0, 59.9, 60.0, 61.0, 119.0, 125.0):
            tell(at(seconds))
    line = "syncro: reading leads: 400 of 1000, 2 requests so far, about 3 min to go\n"
    assert capsys.readouterr().err == 2 * line


def test_what_is_not_known_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    with watched("leads", shown=False) as tell:
        tell(at(60.0, left=None, total=None))
    assert capsys.readouterr().err == "syncro: reading leads: 400, 2 requests so far\n"


def test_the_last_minute_is_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    with watched("leads", shown=False) as tell:
        tell(at(60.0, left=3.0))
    assert "about 1 min to go" in capsys.readouterr().err
