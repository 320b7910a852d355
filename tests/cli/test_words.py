"""What an error of the library says in the words of the command."""

from __future__ import annotations

import ast
import pickle
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import syncro_async
from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async.cli.app import app
from syncro_async.cli.words import OPTIONS, reason_of
from syncro_async.errors import ConfigurationError, InvalidArgumentError, NotFoundError
from syncro_async.sandbox import Sandbox
from tests.cli.run_cli import Run, Serve

PACKAGE = Path(syncro_async.__file__).parent
NOT_OF_THE_LIBRARY = {"cli", "sandbox", "testing", "integrations", "fleet"}
# The command makes no call that these refuse.
NOT_CALLED = {
    *("limiting/adapters.py", "paging/factory.py", "resources/resource.py"),
    *("resources/arguments.py", "transport/wire.py"),
}
ERRORS = {"ConfigurationError", "InvalidArgumentError"}
PYTHON_WORD = re.compile(rf"\b({'|'.join(OPTIONS)})=")
ROWS = "name,email\nAna,ana@example.com\n"


@pytest.fixture
def here(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The current folder, with a file to import; a sandbox runs."""
    serve(Sandbox(1))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text(ROWS)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            "doctor --base-url nonsense",
            "--base-url 'nonsense' must look like 'https://app.syncro.chat/api/v1'",
        ),
        ("budget --base-url http://a:b@c", "--base-url may hold no password, query or fragment"),
        ("leads export x.csv --page-size 300", "--page-size must be 1 to 200, not 300"),
        ("leads export x.csv --tag ' '", "--tag must be a text that is not blank, not ' '"),
        ("leads export x.jsonl --bom", "--bom is for csv files, and this is a jsonl file"),
        (
            "leads export x.foo",
            (
                "x.foo: the name must end in .jsonl, .csv, .xlsx or .parquet; for another name give"
                " --format …"
            ),
        ),
        (
            "leads export in.csv",
            (
                "in.csv exists and is not a csv export of leads, so it is not replaced; name"
                " another file, or replace it with --force"
            ),
        ),
        (
            "leads sync x.db --table a-b",
            (
                "--table 'a-b' must be a plain name: letters, digits and _, at most 63 of them, no"
                " digit in front"
            ),
        ),
        (
            "leads import in.csv --report r.csv",
            "--report must be a file that ends in .jsonl, not r.csv",
        ),
        (
            "leads import in.csv --failures in.csv",
            "--failures must not be the file of the rows (in.csv); name another file",
        ),
        (
            "leads import in.csv --column name=x",
            "--column: 'name' cannot hold 'x', which is no field",
        ),
    ],
)
def test_wrong_usage_is_told_in_the_words_of_the_command(
    run: Run, here: Path, words: str, line: str
) -> None:
    code, out, err = run(*shlex.split(words))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].replace(f"{here}/", "") == f"syncro: error: {line}"


def test_what_the_command_has_no_option_for_is_left_out(
    run: Run, serve: Serve, monkeypatch: Any
) -> None:
    serve(Sandbox(1))
    monkeypatch.delenv("SYNCRO_API_KEY")
    assert run("doctor").err.startswith(
        "syncro: error: no API key for Syncro: set SYNCRO_API_KEY (to try"
    )


def test_an_argument_that_the_command_does_not_know_keeps_its_name() -> None:
    text = ArgumentText("give ", Argument("tls", "None"), " or ", Argument("tags[1]"))
    error = InvalidArgumentError(text, argument="tls")
    assert (str(error), reason_of(error)) == ("give tls=None or tags[1]", "give tls=None or --tag")


def test_other_errors_are_told_as_they_are() -> None:
    error = NotFoundError("base_url=3", status=404, method="GET", path="/leads")
    assert reason_of(error) == "GET /leads → 404: base_url=3"
    assert reason_of(OSError("force=True")) == "force=True"


def test_the_message_of_an_error_is_a_plain_text_that_encoders_take() -> None:
    error = ConfigurationError(ArgumentText("no ", Argument("force", "True")))
    assert [type(text) for text in (error.message, *error.args)] == [str, str]


def test_a_text_keeps_its_arguments_in_another_process() -> None:
    error = ConfigurationError(ArgumentText("no ", Argument("force", "True")))
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), reason_of(copy)) == ("no force=True", "no --force")


def test_each_option_of_the_table_is_one_of_the_command() -> None:
    known = {*_names(typer.main.get_command(app)), "SYNCRO_RATE_LIMIT"}
    assert set(OPTIONS.values()) - known == set()


def _names(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from parameter.opts
        if parameter.metavar:
            yield parameter.metavar
    for child in getattr(command, "commands", {}).values():
        yield from _names(child)


def test_an_error_gives_its_arguments_as_parts() -> None:
    """A text such as f"table={name!r} is …" would reach the users of the command as it is."""
    found = [
        f"{name}:{call.lineno}"
        for module in sorted(PACKAGE.rglob("*.py"))
        if (name := module.relative_to(PACKAGE).as_posix()) not in NOT_CALLED
        and name.partition("/")[0] not in NOT_OF_THE_LIBRARY
        for call in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ERRORS
        for text in map(_plain_text, call.args)
        if PYTHON_WORD.search(text)
    ]
    assert found == []


def _plain_text(expression: ast.expr) -> str:
    parts = expression.values if isinstance(expression, ast.JoinedStr) else [expression]
    return "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
