from __future__ import annotations

import pytest

from syncro_async import Progress
from syncro_async.cli.output import show_progress


def at(seconds: float) -> Progress:
    return Progress(
        job="export",
        phase="reading",
        done=400,
        total=1000,
        requests=2,
        seconds=seconds,
        rate=8.0,
        seconds_left=200.0,
    )


def test_without_a_terminal_a_line_is_said_every_minute(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress() as tell:
        for seconds in (1.0, 59.9, 60.0, 61.0, 119.0, 125.0):
            tell(at(seconds))
    said = capsys.readouterr().err.splitlines()
    assert [line.partition("[")[2].partition("<")[0] for line in said] == [
        "00:01",
        "01:01",
        "02:05",
    ]
    assert all(line.startswith("export reading:  40%|") for line in said)
