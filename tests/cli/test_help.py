from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from syncro_async import __version__
from syncro_async.cli import main
from syncro_async.cli.app import app
from syncro_async.cli.exits import extra
from syncro_async.cli.options import when
from tests.cli.run_cli import Run, finish, names, start


def test_the_version_is_one_line(run: Run) -> None:
    assert run("--version") == (0, f"syncro {__version__}\n", "")


def test_the_command_reads_the_words_of_its_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["syncro", "--version"])
    assert main() == 0
    assert capsys.readouterr().out == f"syncro {__version__}\n"


def test_the_version_comes_from_a_process_of_its_own_too() -> None:
    assert finish(start("--version")) == (0, f"syncro {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ("demo", "sandbox", "budget", "doctor", "leads")),
        (("leads",), ("export", "sync")),
        (("demo",), ("--leads", "--minute")),
        (("sandbox",), ("--port", "--host", "--leads", "--minute", "--php-quirks", "--window")),
        (("budget",), ("--base-url",)),
        (("doctor",), ("--base-url",)),
        (
            ("leads", "export"),
            (
                *("--pipeline-id", "--stage-id", "--assigned-to", "--source", "--status", "--tag"),
                *("--q", "--updated-since", "--created-from", "--created-to", "--include"),
                *("--max-items", "--page-size", "--format", "--base-url"),
                *("--plan", "--lane", "--limiter", "--resume"),
            ),
        ),
        (
            ("leads", "sync"),
            (
                *("DB", "--table", "--full", "--include", "--page-size", "--base-url"),
                *("--plan", "--lane", "--limiter", "--resume"),
            ),
        ),
    ],
)
def test_help_lists_what_there_is_and_no_option_for_a_key(
    run: Run, words: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    code, out, err = run(*words, "--help")
    assert (code, err) == (0, "")
    assert [word for word in expected if word not in out] == []
    assert "--key" not in out
    assert "--api-key" not in out


def commands_of(command: Any, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """A command and all below it, as the words that call them."""
    inner = getattr(command, "commands", {})
    below = [one for name in inner for one in commands_of(inner[name], (*words, name))]
    return [words, *below]


COMMANDS = commands_of(typer.main.get_command(app))


def test_the_commands_are_found_in_the_command() -> None:
    assert {("leads", "undo"), ("doctor",), ()} <= {*COMMANDS}


@pytest.mark.parametrize("words", COMMANDS)
def test_the_short_option_prints_the_same_help(run: Run, words: tuple[str, ...]) -> None:
    assert run(*words, "-h") == run(*words, "--help")


@pytest.mark.parametrize("words", [(), ("leads",)])
def test_without_a_command_the_help_is_printed(run: Run, words: tuple[str, ...]) -> None:
    assert run(*words) == run(*words, "--help")


@pytest.mark.parametrize("columns", ["60", "80"])
@pytest.mark.parametrize("words", COMMANDS)
def test_help_is_plain_text_that_fits_and_is_not_cut(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    code, out, _ = run(*words, "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= int(columns)
    assert "..." not in out.replace("[ARGS]...", "")
    assert not set("│╭╰─") & set(out)


@pytest.mark.parametrize(
    ("words", "commands"),
    [
        ((), ["demo", "sandbox", "budget", "doctor", "leads", "fleet"]),
        (("leads",), ["export", "import", "undo", "sync"]),
    ],
)
def test_each_command_has_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], commands: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    listed = run(*words).out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == commands
    assert all(line.endswith(".") for line in listed)


def test_the_shell_gets_its_completion(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SYNCRO_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "syncro lea")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert run() == (0, "leads\n", "")


@pytest.mark.parametrize(
    "words", [(), ("budget",), ("doctor",), ("leads", "export"), ("leads", "sync")]
)
def test_help_says_where_the_key_comes_from_and_why(run: Run, words: tuple[str, ...]) -> None:
    text = " ".join(run(*words, "--help").out.replace("│", " ").split())
    assert "SYNCRO_API_KEY" in text
    assert "history" in text


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("leads", "nonsense"), "(see syncro leads --help)"),
        (("nonsense",), "nonsense"),
        (("leads", "export"), "FILE"),
        (("leads", "export", "-", "--key", "x"), "--key"),
        (("leads", "export", "-", "--stage-id", "won"), "--stage-id"),
        (("leads", "export", "-", "--format", "xml"), "--format"),
        (("leads", "export", "-", "--updated-since", "yesterday"), "'yesterday' is not a date"),
        (("leads", "export", "-", "--created-to", "2026-06-30T10:00:00"), "no time zone"),
        (("leads", "export", "-"), "SYNCRO_API_KEY"),
        (("leads", "sync"), "DB"),
        (("leads", "sync", "crm.db", "--lane", "slow"), "--lane"),
        (("budget",), "SYNCRO_API_KEY"),
        (("sandbox", "--port", "70000"), "--port"),
        (("sandbox", "--window", "round"), "--window"),
        (("demo", "--leads", "0"), "--leads"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    run: Run, folder: Path, words: tuple[str, ...], part: str
) -> None:
    (folder / "folder.csv").mkdir()
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("syncro: error: ")
    assert err.count("\n") == 1
    assert part in err
    assert names(folder) == ["folder.csv"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("leads", "export", "leads.csv", "--page-size", "201"), "--page-size must"),
        (("leads", "export", "leads.csv", "--include", "events"), "events"),
        (("leads", "export", "leads.ods"), ".jsonl, .csv, .xlsx or .parquet"),
        (("leads", "export", "leads"), ".jsonl, .csv, .xlsx or .parquet"),
        (("leads", "export", "folder.csv"), "no regular file"),
        (("leads", "sync", "crm.db", "--page-size", "0"), "--page-size must"),
        (("leads", "sync", "crm.db", "--table", 'x"; DROP TABLE y; --'), "plain name"),
        (("leads", "sync", "leads.csv"), "no database"),
        (("leads", "sync", "folder.csv/"), "no database"),
    ],
)
def test_what_the_client_refuses_before_sending_is_wrong_usage(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], part: str
) -> None:
    monkeypatch.setenv("SYNCRO_API_KEY", "crm_any")
    (folder / "folder.csv").mkdir()
    code, _, err = run(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert part in err
    assert names(folder) == ["folder.csv"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-30", date(2026, 6, 30)),
        ("2026-06-30T10:00:00Z", datetime(2026, 6, 30, 10, tzinfo=UTC)),
        ("2026-06-30T07:00:00-03:00", datetime(2026, 6, 30, 10, tzinfo=UTC)),
    ],
)
def test_a_date_or_a_moment_with_its_time_zone_is_understood(text: str, expected: date) -> None:
    assert when(text) == expected
    assert type(when(text)) is type(expected)


@pytest.mark.parametrize("text", ["", "30/06/2026", "2026-13-01", "2026-06-30T25:00:00Z"])
def test_any_other_date_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a date"):
        when(text)


@pytest.mark.parametrize(
    ("library", "command", "extra_name"),
    [
        ("typer", "--version", "cli"),
        ("rich", "--version", "cli"),
        ("starlette", "demo", "sandbox"),
        ("uvicorn", "sandbox", "sandbox"),
    ],
)
def test_without_an_extra_the_command_says_how_to_install_it(
    folder: Path, library: str, command: str, extra_name: str
) -> None:
    said = f'syncro: error: this needs: pip install "syncro-async[{extra_name}]"\n'
    assert finish(start(command, without=library)) == (1, "", said)
    assert names(folder) == []


class CtrlC(str):
    """A word during whose reading Ctrl-C comes."""

    __slots__ = ()

    def __getitem__(self, key: object) -> str:
        raise KeyboardInterrupt


def test_ctrl_c_while_the_words_are_read_is_an_interruption(run: Run) -> None:
    assert run(CtrlC("demo")) == (130, "", "syncro: interrupted\n")


class CtrlCFinder:
    """Ctrl-C comes while the command is being loaded."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "syncro_async.cli.app":
            raise KeyboardInterrupt


def test_ctrl_c_while_the_command_is_loaded_is_an_interruption(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "syncro_async.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [CtrlCFinder(), *sys.meta_path])
    assert run("--version") == (130, "", "syncro: interrupted\n")


def test_a_library_that_belongs_to_no_extra_is_not_explained_away() -> None:
    with pytest.raises(ModuleNotFoundError, match="other"), extra("cli"):
        raise ModuleNotFoundError("No module named 'other'", name="other")


def test_the_log_comes_to_stderr_with_debug_and_goes_nowhere_without(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCRO_API_KEY", "crm_any")
    # Nothing listens on the port of "discard".
    words = ("leads", "export", "-", "--base-url", "http://127.0.0.1:9/api/v1")
    quiet = run(*words)
    loud = run("--debug", *words)
    assert (quiet.code, quiet.err.count("\n")) == (1, 1)
    assert loud.code == 1
    assert "RequestSent" in loud.err
    assert "Traceback" in loud.err
    assert "crm_any" not in loud.err
