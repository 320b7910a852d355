from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import pytest

from syncro_async import Budget, Progress
from syncro_async.cli import main
from syncro_async.cli.encoding import any_encoding
from syncro_async.cli.output import Wait, show_progress, show_waits, wait_of
from syncro_async.sandbox import Sandbox
from tests.cli.run_cli import Serve
from tests.cli.test_help import COMMANDS


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


BUSY = Budget(60, 60.0, 0, 3, 1, 41.4, used=57)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(60, 60.0, 60, 0, 0, 0.0), None),
        (BUSY, Wait("all 60 calls in 60 s are used", 41.4)),
        (
            Budget(60, 60.0, 0, 0, 4, 31.0, gate_closed_for=31.0),
            Wait("the server answered 429", 31.0),
        ),
        (
            Budget(60, 60.0, 20, 0, 1, 0.0, waiting_bulk=1),
            Wait("interactive calls go first", 1.0),
        ),
    ],
)
def test_a_wait_has_its_reason_and_its_seconds(budget: Budget, expected: Wait | None) -> None:
    assert wait_of(budget) == expected


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Waiting:
    """A client whose budget is as a test says, look by look."""

    def __init__(self, *budgets: Budget) -> None:
        self._budgets = list(budgets)
        self.over = asyncio.Event()

    def budget(self) -> Budget:
        if len(self._budgets) == 1:
            self.over.set()
            return self._budgets[0]
        return self._budgets.pop(0)


async def written_while(client: Any, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with show_progress() as tell:
        tell(at(1.0))
        async with show_waits(client, every=0.0):
            await client.over.wait()
    return stream.getvalue()


async def test_on_a_terminal_the_wait_stands_behind_the_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = await written_while(Waiting(BUSY, BUSY), Screen(), monkeypatch)
    line = shown.split("\r")[2]
    assert line.startswith("reading:  40%|")
    assert line.endswith("waiting 41 s: all 60 calls in 60 s are used")


async def test_in_a_log_a_wait_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    free = Budget(60, 60.0, 60, 0, 0, 0.0)
    short = Budget(60, 60.0, 0, 0, 1, 2.0)
    looks = Waiting(short, BUSY, BUSY, free, BUSY, free, free)
    shown = await written_while(looks, io.StringIO(), monkeypatch)
    said = "waiting 41 s: all 60 calls in 60 s are used"
    assert shown.splitlines()[1:] == [said, said]


async def test_waits_are_shown_without_a_job_too(capsys: pytest.CaptureFixture[str]) -> None:
    client: Any = Waiting(BUSY, BUSY)
    async with show_waits(client, every=0.0):
        await client.over.wait()
    assert capsys.readouterr().err == "waiting 41 s: all 60 calls in 60 s are used\n"


ENCODINGS = ["cp1252", "ascii"]


class Output:
    """Both streams of a process, in an encoding that lacks most signs and fails for them."""

    def __init__(self, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.raw = io.BytesIO()
        self.encoding = encoding
        for name in ("stdout", "stderr"):
            stream = io.TextIOWrapper(self.raw, encoding, errors="strict", write_through=True)
            monkeypatch.setattr(sys, name, stream)

    @property
    def text(self) -> str:
        return self.raw.getvalue().decode(self.encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("words", COMMANDS)
def test_every_help_survives_every_encoding(
    monkeypatch: pytest.MonkeyPatch, encoding: str, words: tuple[str, ...]
) -> None:
    output = Output(encoding, monkeypatch)
    assert main([*words, "--help"]) == 0
    assert output.text.startswith("Usage: syncro")
    assert sys.stdout.errors == "strict"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["budget"], 0),
        (["budget", "--json"], 0),
        (["budget", "--watch", "--for", "0"], 0),
        (["doctor"], 0),
        (["leads", "export", "leads.csv"], 0),
        (["leads", "sync", "crm.db"], 0),
        (["leads", "export", "-", "--updated-since", "\u2192\udcff"], 2),
        (["leads", "import", "not-\u6709.csv"], 1),
        (["leads", "export", "leads.csv", "--source", "\u6709", "--page-size", "0"], 2),
    ],
)
def test_every_command_survives_every_encoding(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, encoding: str, words: list[str], code: int
) -> None:
    serve(Sandbox(leads=3))
    output = Output(encoding, monkeypatch)
    assert main(words) == code
    assert output.text


def test_a_sign_that_an_encoding_lacks_becomes_a_similar_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = Output("ascii", monkeypatch)
    with any_encoding():
        sys.stdout.write("a → b… Jo\u00e3o \u6709 █\n")
    assert output.text == "a -> b... Joao \\u6709 #\n"


def test_only_what_cannot_be_written_is_replaced() -> None:
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", "syncro_async.similar")


def test_a_stream_may_be_closed_meanwhile_or_have_no_encoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Output("ascii", monkeypatch)
    with any_encoding():
        sys.stderr.close()
    assert sys.stderr.closed
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with any_encoding():
        sys.stdout.write("→")
