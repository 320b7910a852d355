"""The docstrings keep their word: nothing public is without one, and their examples run."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import FunctionType, ModuleType
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI

import syncro_async
from syncro_async import SYNCRO, AsyncClient, Bulk, Paginator, dialects, fleet
from syncro_async.integrations import fastapi
from syncro_async.integrations.opentelemetry import OpenTelemetry
from syncro_async.sandbox import FULL_KEY, Sandbox, Trouble, serving
from syncro_async.testing import FakeClock, sandbox_client

PACKAGE = Path(syncro_async.__file__).parent
OPEN = (
    "syncro_async",
    *("syncro_async.errors", "syncro_async.events", "syncro_async.testing", "syncro_async.sandbox"),
    *("syncro_async.dialects", "syncro_async.fleet"),
    *("syncro_async.integrations.fastapi", "syncro_async.integrations.opentelemetry"),
    "syncro_async.integrations.pytest_plugin",
)
# Diagrams are drawn with these, examples are not.
DRAWN = re.compile("[─│└├]")


def names_of(module: ModuleType) -> list[str]:
    """What the module offers: its `__all__`, else what it defines under a name without `_`."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    return list(getattr(module, "__all__", own))


def offered() -> dict[str, Any]:
    """Each public class and function, and what a client's properties lead to."""
    found: dict[str, Any] = {}
    for dotted in OPEN:
        module = importlib.import_module(dotted)
        for name in names_of(module):
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                found.setdefault(f"{value.__module__}.{value.__qualname__}", value)
    with_key = AsyncClient("crm_x")
    for name, value in inspect.getmembers_static(AsyncClient):
        if isinstance(value, property) and not name.startswith("_"):
            assert value.__doc__
            resource = type(getattr(with_key, name))
            found[f"{resource.__module__}.{resource.__qualname__}"] = resource
    return found


def methods_of(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that are ours, inherited ones among them."""
    for name in dir(kind):
        static = inspect.getattr_static(kind, name)
        call = static.fget if isinstance(static, property) else getattr(static, "__func__", static)
        ours = str(getattr(call, "__module__", "")).startswith("syncro_async")
        if ours and inspect.isroutine(call) and not name.startswith("_"):
            yield name, call


OFFERED = offered()
RESOURCES = [type(getattr(AsyncClient("crm_x"), name)) for name in sorted(SYNCRO.resources)]
# A property has no parameters, and its function has the object.
PROPERTIES = {
    name
    for kind in {*OFFERED.values(), *RESOURCES}
    if inspect.isclass(kind)
    for name, each in inspect.getmembers_static(kind)
    if isinstance(each, property)
}
CALLS: dict[str, tuple[Any, str]] = {}
for place, thing in OFFERED.items():
    about = thing.__doc__ or ""
    if inspect.isclass(thing):
        CALLS |= {f"{place}.{name}": (call, about) for name, call in methods_of(thing)}
    else:
        CALLS[place] = (thing, "")


@pytest.mark.parametrize("place", OFFERED)
def test_whatever_is_offered_says_what_it_is(place: str) -> None:
    name = place.rpartition(".")[2]
    said = OFFERED[place].__doc__ or ""
    assert said, f"{place} has no docstring"
    assert not said.startswith(f"{name}("), f"{place} has only the one that Python made"


@pytest.mark.parametrize("place", [name for name, each in OFFERED.items() if inspect.isclass(each)])
def test_every_class_says_what_making_one_raises(place: str) -> None:
    for name in ("__init__", "__post_init__"):
        written = vars(OFFERED[place]).get(name)
        # Python itself writes that of a dataclass or a protocol.
        if inspect.isfunction(written) and PACKAGE in Path(written.__code__.co_filename).parents:
            for error in errors_of(written):
                assert error in OFFERED[place].__doc__, f"{place} raises {error}, unsaid"


@pytest.mark.parametrize("place", CALLS)
def test_every_call_says_what_it_does_and_what_it_raises_itself(place: str) -> None:
    call, about = CALLS[place]
    said = f"{call.__doc__ or ''}\n{about}"
    assert call.__doc__, f"{place} has no docstring"
    for error in errors_of(call):
        assert error in said, f"{place} raises {error} and does not say so"


# FastAPI and pytest call these; no program does.
CALLED_BY_FRAMEWORKS = {"get_client", "pytest_configure"}
# What programs make themselves; they meet the other classes as results, events and errors.
MADE_BY_PROGRAMS = [
    *(syncro_async.AsyncClient, syncro_async.RateLimit, syncro_async.RetryPolicy),
    *(syncro_async.ProgressBar, syncro_async.Headers, FakeClock, Sandbox, Trouble, OpenTelemetry),
    *(dialects.Dialect, dialects.PageNumbers, dialects.Cursor),
    *(fleet.AccountJob, fleet.Accounts, fleet.EnvironmentKeys, fleet.FileKeys),
]
MADE_OR_READ = {
    place: thing
    for place, thing in OFFERED.items()
    if thing in MADE_BY_PROGRAMS or place.startswith("syncro_async.models.")
}


def unnamed(call: Any, docstring: str | None) -> list[str]:
    """The parameters that do not stand between backticks in the docstring."""
    names = [
        each.name
        for each in inspect.signature(call).parameters.values()
        if each.name not in {"self", "cls"} and not each.name.startswith("_")
    ]
    quoted = " ".join(re.findall(r"`+([^`]+)`+", docstring or ""))
    return [name for name in names if not re.search(rf"\b{re.escape(name)}\b", quoted)]


@pytest.mark.parametrize("place", CALLS)
def test_every_call_names_every_parameter(place: str) -> None:
    call, _ = CALLS[place]
    if place.rpartition(".")[2] not in CALLED_BY_FRAMEWORKS | PROPERTIES:
        assert unnamed(call, call.__doc__) == []


@pytest.mark.parametrize("place", MADE_OR_READ)
def test_every_class_names_every_field(place: str) -> None:
    assert unnamed(MADE_OR_READ[place], MADE_OR_READ[place].__doc__) == []


@pytest.mark.parametrize("kind", [*MADE_BY_PROGRAMS, *RESOURCES, Bulk, Paginator])
def test_every_class_that_programs_use_has_an_example(kind: type) -> None:
    assert [*blocks_of(kind.__doc__ or "")]


def test_a_parameter_without_a_name_in_the_docstring_is_found() -> None:
    def call(lead_id: int, *, tags: str) -> None: ...

    assert unnamed(call, "`tags=None`: the tags; the lead_id is not quoted.") == ["lead_id"]


def errors_of(call: Callable[..., Any]) -> set[str]:
    """The names of the errors that stand behind a `raise` in the call itself."""
    tree = ast.parse(dedent(inspect.getsource(inspect.unwrap(call))))
    raised = {
        node.exc.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
    }
    return {name for name in raised if name.endswith(("Error", "Exception"))}


def blocks_of(docstring: str) -> Iterator[str]:
    """The indented blocks that follow an empty line, as Markdown and reST take them for code."""
    for part in re.split(r"\n\n(?=\S)", inspect.cleandoc(docstring)):
        for block in re.findall(r"(?:^|\n\n)((?: {4}.*(?:\n|$)|\n(?= {4}))+)", part):
            yield dedent(block)


def examples() -> dict[str, list[str]]:
    """The examples of each docstring, which may build on one another."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                blocks = blocks_of(ast.get_docstring(node) or "")
                code = [block for block in blocks if not DRAWN.search(block)]
                if code:
                    where = path.relative_to(PACKAGE).as_posix()
                    found[f"{where}:{getattr(node, 'name', 'module')}"] = code
    return found


EXAMPLES = examples()


def test_the_examples_are_found() -> None:
    assert {"client.py:AsyncClient", "testing/__init__.py:sandbox_client", "bulk/api.py:map"} <= {
        *EXAMPLES
    }
    assert len(EXAMPLES["integrations/fastapi.py:module"]) == 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder, with a file of leads, and an environment with a sandbox in it."""
    rows = "name,email,pipeline_id,stage_id\nAna,ana@example.com,1,4\nBia,bia@example.com,1,4\n"
    (tmp_path / "leads.csv").write_text(rows)
    monkeypatch.chdir(tmp_path)
    with serving(Sandbox(leads=100)) as url:
        monkeypatch.setenv("SYNCRO_API_KEY", FULL_KEY)
        monkeypatch.setenv("SYNCRO_BASE_URL", url)
        yield tmp_path


def wolfeo() -> AsyncClient:
    """A client of the sibling service, which has one page of one contact."""
    meta = {"total": 1, "per_page": 100, "current_page": 1, "last_page": 1}
    page = {"success": True, "data": [{"email": "ana@example.com"}], "meta": meta}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=page))
    return AsyncClient("key", dialect=dialects.WOLFEO, transport=transport)


async def nightly_job(syncro: AsyncClient) -> None:
    await syncro.leads.get(1)


@pytest.mark.parametrize("place", EXAMPLES)
async def test_every_example_runs(
    place: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = FakeClock()
    async with sandbox_client(clock=clock) as syncro, wolfeo() as other:
        # What an example takes for granted: the public names, a client, and a job of the reader's.
        known: dict[str, Any] = {
            **{name: getattr(syncro_async, name) for name in syncro_async.__all__},
            **{name: getattr(fastapi, name) for name in fastapi.__all__},
            **{name: getattr(dialects, name) for name in dialects.__all__},
            **{name: getattr(fleet, name) for name in fleet.__all__},
            "Sandbox": Sandbox,
            "Trouble": Trouble,
            "FakeClock": FakeClock,
            "sandbox_client": sandbox_client,
            "FastAPI": FastAPI,
            "Annotated": Annotated,
            "OpenTelemetry": OpenTelemetry,
            "syncro": syncro,
            "wolfeo": other,
            "ids": [1, 2, 999_999],
            "nightly_job": nightly_job,
            "keys": lambda _: FULL_KEY,
            "job": fleet.AccountJob("acme"),
            "accounts": fleet.Accounts.parse('[accounts.acme]\nkey_env = "SYNCRO_API_KEY"'),
        }
        for code in EXAMPLES[place]:
            await run(code, place, known)
        for name, test in [*known.items()]:
            if name.startswith("test_"):
                await test(syncro)
    assert "Traceback" not in capsys.readouterr().err


async def run(code: str, place: str, names: dict[str, Any]) -> None:
    """Run it as a notebook would, with `await` outside of functions."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    outcome = FunctionType(compile(code, place, "exec", flags=flags, dont_inherit=True), names)()
    if inspect.iscoroutine(outcome):
        async with asyncio.timeout(30):
            await outcome
