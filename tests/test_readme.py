"""The documents keep their word: examples run, commands are those CI runs, named tests exist."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import httpx
import pytest
import typer

from syncro_async.cli.app import Globals, app
from syncro_async.sandbox import FULL_KEY, Sandbox, serving

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [*DOCUMENTS, ROOT / "CONTRIBUTING.md"]
EXAMPLE = re.compile(r"^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```(?:console|sh|bash|shell)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"""\]\((?!https?:)([^)#\s]+)|(?:src|srcset)="([^"]+)\"""")
TEST_COMMAND = 'pip install -e ".[dev]" && nox -s check'

# Runs what stands on the standard input as a program; `await` may stand outside a function.
RUN = """
import ast, asyncio, inspect, sys
code = compile(sys.stdin.read(), sys.argv[1], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
outcome = eval(code, {"__name__": "__main__"})
if inspect.iscoroutine(outcome):
    asyncio.run(outcome)
"""


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8") if document.exists() else ""


def examples() -> Iterator[tuple[str, str]]:
    """Each example after its place, padded so that a traceback's line is the document's."""
    for document in DOCUMENTS:
        text = text_of(document)
        for match in EXAMPLE.finditer(text):
            above = text.count("\n", 0, match.start("code"))
            yield f"{document.name}:{above + 1}", "\n" * above + match["code"]


EXAMPLES = dict(examples())

# Parts of the site that need no Sphinx.
sys.path.append(str(ROOT / "docs" / "_ext"))
REFERENCE = importlib.import_module("reference")
HELP = importlib.import_module("commands")


@pytest.fixture
def settings() -> Iterator[dict[str, str]]:
    """The environment of a user whose API is a sandbox of its own for each example."""
    with serving(Sandbox(leads=250)) as url:
        yield {**no_settings(), "SYNCRO_API_KEY": FULL_KEY, "SYNCRO_BASE_URL": url}


def no_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SYNCRO_")}


def run(place: str, folder: Path, env: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, place.partition(":")[0]],
        input=EXAMPLES[place],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, f"{place}:\n{done.stdout}{done.stderr}"


def test_the_first_example_is_in_the_readme_and_runs_without_a_key(tmp_path: Path) -> None:
    first = next(iter(EXAMPLES))
    assert first.startswith("README.md:")
    run(first, tmp_path, no_settings())


@pytest.mark.parametrize("place", EXAMPLES)
def test_every_example_runs_as_it_stands(
    place: str, tmp_path: Path, settings: dict[str, str]
) -> None:
    run(place, tmp_path, settings)


async def test_the_service_of_the_readme_answers(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SYNCRO_API_KEY", "SYNCRO_BASE_URL"):
        monkeypatch.setenv(name, settings[name])
    (code,) = (each for each in EXAMPLES.values() if "syncro_fastapi" in each)
    made = ModuleType("service")
    FunctionType(compile(code, "README.md", "exec"), vars(made))()
    app = made.app
    web = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")
    async with app.router.lifespan_context(app), web:
        assert (await web.get("/leads/1")).json()["id"] == 1
        assert (await web.get("/leads/999999")).status_code == 404
        health = (await web.get("/health")).json()
    assert (health["limit"], health["used"]) == (60, 2)


def test_the_command_that_tests_everything_is_the_one_ci_runs() -> None:
    assert any(TEST_COMMAND in block for block in SHELL.findall(text_of(README)))
    assert TEST_COMMAND in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each line of a document that runs `syncro`, with its words."""
    for document in PAGES:
        for line in "\n".join(SHELL.findall(text_of(document))).splitlines():
            # In front there may be a crontab's times, or another command.
            run = re.search(r"(?:^|[*\d] +|&& )(syncro( .*)?)$", line.partition("  #")[0].rstrip())
            if run is not None:
                words = shlex.split(run[1], comments=True)
                ends = [n for n, word in enumerate(words) if re.match(r"\d?>|&&|\|", word)]
                yield f"{document.name}: {run[1]}", words[1 : min(ends, default=None)]


COMMANDS = dict(commands())


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_a_document_is_one_that_the_parser_takes(line: str) -> None:
    command: Any = typer.main.get_command(app)
    words = COMMANDS[line]
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    command.make_context(line, [*words], obj=Globals())


def test_the_readme_is_one_page() -> None:
    assert len(README.read_bytes()) <= 9_000
    assert max(map(len, text_of(README).splitlines())) < 400  # an alt text is one line


def test_every_link_leads_to_a_file() -> None:
    for document in PAGES:
        for link in LINK.findall(text_of(document)):
            path = "".join(link)
            assert (document.parent / path).exists(), f"{document.name} links to {path}"


def test_every_page_is_in_the_contents_of_the_site() -> None:
    index = text_of(ROOT / "docs" / "index.md")
    listed = re.findall(r"^[\w/-]+$", index, re.MULTILINE)
    written = {document.stem for document in (ROOT / "docs").glob("*.md")} - {"index"}
    assert {name for name in listed if "/" not in name} == written
    assert {name for name in listed if name.startswith("reference/")} == {
        f"reference/{page.name}" for page in REFERENCE.PAGES
    }


def test_the_site_shows_both_pictures_of_each_pair() -> None:
    paired = importlib.import_module("pictures").paired
    for document in DOCUMENTS:
        text = text_of(document)
        shown = paired(text)
        assert "<picture>" not in shown, document.name
        assert shown.count(":class: only-dark") == text.count("<picture>")


def test_each_command_has_a_page_with_its_options() -> None:
    pages = {words: HELP.written(words, command) for words, command in HELP.commands()}
    assert {"", "demo", "doctor", "leads import", "leads undo"} <= {*pages}
    assert "--on-bad-row" in pages["leads import"]
    assert pages["leads import"].startswith("``syncro leads import``")


def test_the_reference_has_every_public_name_and_no_other() -> None:
    assert REFERENCE.missing() == set()
    for page in REFERENCE.PAGES:
        for module, name in REFERENCE.names_on(page):
            assert hasattr(importlib.import_module(module), name), f"{page.name} has {name}"


def test_every_test_and_file_that_a_document_names_exists() -> None:
    for document in DOCUMENTS:
        for path, test in re.findall(
            r"\b((?:tests|benchmarks|examples|docs)/[\w/.-]*\w)(?:::(\w+))?", text_of(document)
        ):
            assert (ROOT / path).exists(), f"{document.name} names {path}"
            assert not test or re.search(rf"\bdef {test}\b", text_of(ROOT / path)), test
