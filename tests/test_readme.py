"""The documents keep their word: examples run, commands are those CI runs, named tests exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import httpx
import pytest

from syncro_async.sandbox import FULL_KEY, Sandbox, serving

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLE = re.compile(r"^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
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
    shell = re.compile(r"^```(?:console|sh|bash|shell)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    blocks = shell.findall(text_of(README))
    assert any(TEST_COMMAND in block for block in blocks)
    assert TEST_COMMAND in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_test_and_file_that_a_document_names_exists() -> None:
    for document in DOCUMENTS:
        for path, test in re.findall(
            r"\b((?:tests|benchmarks|examples|docs)/[\w/.-]*\w)(?:::(\w+))?", text_of(document)
        ):
            assert (ROOT / path).exists(), f"{document.name} names {path}"
            assert not test or re.search(rf"\bdef {test}\b", text_of(ROOT / path)), test
