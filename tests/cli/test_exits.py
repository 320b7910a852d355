from __future__ import annotations

import os
import sys
import warnings
from typing import TextIO

import pytest

from syncro_async.cli.exits import (
    CommandFailedError,
    Exit,
    WrongUsageError,
    exit_for,
    in_one_line,
    report_exit,
    warnings_as_lines,
)
from syncro_async.errors import ConfigurationError, NotFoundError


class ParsingError(Exception):
    """What a parser raises: it can say in words what is wrong."""

    def __init__(self, context: object) -> None:
        self.ctx = context

    def format_message(self) -> str:
        return "No such option: --key"


class Context:
    command_path = "syncro leads export"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyboardInterrupt(), Exit(130, "syncro: interrupted")),
        (
            BrokenPipeError(),
            Exit(1, "syncro: error: standard output was closed before the end"),
        ),
        (
            ParsingError(Context()),
            Exit(2, "syncro: error: No such option: --key (see syncro leads export --help)"),
        ),
        (ParsingError(None), Exit(2, "syncro: error: No such option: --key (see syncro --help)")),
        (WrongUsageError("say which"), Exit(2, "syncro: error: say which")),
        (ConfigurationError("no key"), Exit(2, "syncro: error: no key")),
        (CommandFailedError("3 lost"), Exit(1, "syncro: error: 3 lost")),
        (
            NotFoundError("gone", status=404, method="GET", path="/leads"),
            Exit(1, "syncro: error: GET /leads → 404: gone"),
        ),
        (
            FileNotFoundError(2, "No such file", "x/y.csv"),
            Exit(1, "syncro: error: x/y.csv: No such file"),
        ),
        (OSError(28, "No space left"), Exit(1, "syncro: error: No space left")),
        (
            OSError("odd"),
            Exit(1, "syncro: error: OSError: odd (syncro --debug … shows where)"),
        ),
        (
            ValueError("a bug"),
            Exit(1, "syncro: error: ValueError: a bug (syncro --debug … shows where)"),
        ),
    ],
)
def test_every_error_has_its_code_and_its_line(error: BaseException, expected: Exit) -> None:
    assert exit_for(error) == expected


def test_a_message_cannot_break_the_line_or_steer_the_terminal() -> None:
    assert in_one_line("a\n  b\tc\x1b[2Jd") == "a b c?[2Jd"


def test_the_traceback_is_shown_only_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    error = CommandFailedError("3 lost")
    assert report_exit(error, debug=False) == 1
    quiet = capsys.readouterr()
    assert report_exit(error, debug=True) == 1
    loud = capsys.readouterr()
    assert quiet == ("", "syncro: error: 3 lost\n")
    assert loud.out == ""
    assert "CommandFailedError: 3 lost" in loud.err
    assert loud.err.endswith("syncro: error: 3 lost\n")


def closed_pipe() -> TextIO:
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


def test_after_a_closed_pipe_nothing_more_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = closed_pipe()
    monkeypatch.setattr(sys, "stdout", pipe)
    pipe.write("a lead\n")
    with pytest.raises(BrokenPipeError) as caught:
        pipe.flush()
    assert report_exit(caught.value, debug=False) == 1
    pipe.close()  # flushes what is still buffered, as the interpreter does at its end
    assert capsys.readouterr().err.count("\n") == 1


def test_a_warning_is_one_line_without_our_code(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings_as_lines():
        warnings.simplefilter("always")
        warnings.warn("the base_url is\nnot encrypted", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "syncro: warning: the base_url is not encrypted\n"
