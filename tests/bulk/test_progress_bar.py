from __future__ import annotations

import io

import pytest

from syncro_async import Progress, ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Notebook(io.StringIO):
    """What a notebook's kernel puts in the place of stderr is no terminal."""


Notebook.__module__ = "ipykernel.iostream"


def at(done: int, total: int | None = 500, **more: object) -> Progress:
    facts: dict[str, object] = {"job": "import", "phase": "sending", "requests": done, "rate": 1.0}
    facts |= {"seconds": float(done), "seconds_left": 310.0, **more}
    return Progress(done=done, total=total, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [Terminal(), Notebook()])
def test_where_somebody_looks_the_line_is_drawn_anew(stream: io.StringIO) -> None:
    show = ProgressBar(stream)
    show(at(190))
    show(at(500, seconds_left=0.0))
    show(at(10, None, phase="comparing", seconds_left=None))
    show(at(3700, 7400, seconds_left=None))
    first, second, third, fourth = stream.getvalue().replace("\n", "\r").split("\r")[1::1][:1] + [
        line for line in stream.getvalue().replace("\n", "\r").split("\r")[2:] if line
    ]
    assert first == "sending:  38%|███████▌            | 190/500 [03:10<05:10, 1.0/s]"
    assert second.startswith("sending: 100%|████████████████████| 500/500 [08:20<00:00, 1.0/s]")
    assert third == "comparing: 10 [00:10, 1.0/s]"
    assert fourth.rstrip() == "sending:  50%|██████████          | 3700/7400 [1:01:40<?, 1.0/s]"


def test_a_log_gets_a_line_a_minute_and_one_at_the_end() -> None:
    log = io.StringIO()
    show = ProgressBar(log)
    for done in range(0, 501, 10):
        show(at(done))
    lines = log.getvalue().splitlines()
    assert len(lines) == 1 + 500 // 60 + 1
    assert lines[1].startswith("import sending:  12%|")
    assert lines[-1].startswith("import sending: 100%|")


def test_nothing_to_do_is_all_done(capsys: pytest.CaptureFixture[str]) -> None:
    ProgressBar()(at(0, 0))
    assert "100%" in capsys.readouterr().err
