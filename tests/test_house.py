"""The shape of the package, read from its source: who imports whom, who waits, how long it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "syncro_async"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the top down. A part may import its own row and the rows below it, in no circle.
ROWS = (
    {"__init__", "cli", "integrations", "testing"},
    {"fleet"},
    {"client"},
    {"bulk"},
    {"settings", "resources"},
    {"transport", "paging"},
    {"limiting", "retrying", "dialects"},
    {"_internal.per_loop"},
    {"errors"},
    {"_internal.error_text"},
    {"models"},
    {"_internal.pydantic_schemas"},
    {
        *("clock", "events", "version", "_internal"),
        *("_internal.argument_text", "_internal.checks", "_internal.forks", "_internal.html"),
        *(
            "_internal.key_mask",
            "_internal.known_keys",
            "_internal.plain_text",
            "_internal.private_file",
            "_internal.tracebacks",
            "_internal.worker_thread",
        ),
    },
)
ROW_OF = {part: row for row, parts in enumerate(ROWS) for part in parts}
# The emulated API stands beside the client: a fault must not be able to hide on both sides.
APART = "sandbox"
MAY_USE_THE_SANDBOX = {"cli", "integrations", "testing"}
# What stands open to the users of the package is all that the command may use.
PUBLIC = {"", "errors", "events", "fleet", "testing", "sandbox"}
CLOCKS = {"clock.py", "testing/fake_clock.py"}

LONGEST_MODULE = 450
LONGEST_FUNCTION = 39


def name_of(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def part_of(module: Path) -> str:
    first, *rest = module.relative_to(PACKAGE).parts
    # The helpers of _internal are small and independent: each has a row of its own.
    inner = f".{rest[0]}" if first == "_internal" and rest != ["__init__.py"] else ""
    return f"{first}{inner}".removesuffix(".py")


@cache
def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def imports_of(module: Path) -> Iterator[str]:
    """Every dotted name that is imported anywhere in the module, also for type checkers only."""
    package = ["syncro_async", *module.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def arrows_of(module: Path) -> set[str]:
    """The parts of our own that the module imports; `__init__` for the package's public face."""
    found = set()
    for dotted in imports_of(module):
        package, _, inside = dotted.partition(".")
        if package == "syncro_async":
            part, _, rest = inside.partition(".")
            if part == "_internal":
                part = f"_internal.{rest.partition('.')[0]}"
            found.add(part if part in ROW_OF or part == APART else "__init__")
    return found - {part_of(module)}


def test_there_is_a_row_for_every_part() -> None:
    assert {part_of(module) for module in MODULES} <= ROW_OF.keys() | {APART}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_go_downwards_only(module: Path) -> None:
    part = part_of(module)
    if part == APART:
        assert arrows_of(module) <= {"clock"}
        return
    for target in arrows_of(module):
        if target == APART:
            assert part in MAY_USE_THE_SANDBOX
        else:
            assert ROW_OF[target] >= ROW_OF[part], f"{part} imports {target}, which stands above it"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_the_core_imports_no_bulk_command_sandbox_or_integration(module: Path) -> None:
    if ROW_OF.get(part_of(module), 0) >= ROW_OF["settings"]:
        assert not arrows_of(module) & {"bulk", "cli", "fleet", "sandbox", "integrations"}


def test_no_two_parts_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        graph.setdefault(part_of(module), set()).update(arrows_of(module))
    order = list(TopologicalSorter(graph).static_order())  # CycleError names the circle
    assert set(order) >= graph.keys()


def test_the_command_uses_public_names_only() -> None:
    for module in MODULES:
        if part_of(module) == "cli":
            for dotted in imports_of(module):
                package, _, inside = dotted.partition(".")
                if package == "syncro_async" and not inside.startswith("cli"):
                    *path, name = inside.split(".")
                    assert ".".join(path) in PUBLIC, f"{name_of(module)} imports {dotted}"
                    assert not name.startswith("_") or name == "__version__"


def test_the_http_engine_is_imported_in_one_file() -> None:
    users = {
        name_of(module)
        for module in MODULES
        if any(re.match(r"(httpx2?|httpcore2?)\b", dotted) for dotted in imports_of(module))
    }
    assert users == {"transport/http_engine.py"}


def test_type_checkers_need_no_data_frame_library() -> None:
    frames = re.compile(r"(polars|pandas|numpy|pyarrow)\b")
    importing = {
        name_of(module)
        for module in MODULES
        if any(frames.match(dotted) for dotted in imports_of(module))
    }
    # A type of a library that is missing is unknown to a type checker, and so is what has it.
    assert {name for name in importing if name.startswith(("paging", "client", "models"))} == set()


def readings_of_time(module: Path) -> Iterator[str]:
    """Where a module reads the time or waits for it by itself instead of asking a Clock."""
    for dotted in imports_of(module):
        if re.match(r"time\b|(asyncio|anyio|trio)\.(sleep|timeout|wait_for|move_on|fail)", dotted):
            yield dotted
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if re.fullmatch(
                r"(time|anyio|trio)\.\w+"
                r"|asyncio\.(sleep|timeout|timeout_at|wait_for)"
                r"|.*loop(\(\))?\.(time|call_later|call_at)"
                r"|.*\b(datetime|date)\.(now|utcnow|today)",
                called,
            ):
                yield f"{called}(), line {node.lineno}"


@pytest.mark.parametrize(
    "module",
    [m for m in MODULES if name_of(m) not in CLOCKS and part_of(m) != APART],
    ids=name_of,
)
def test_time_is_read_and_slept_in_the_clocks_only(module: Path) -> None:
    assert list(readings_of_time(module)) == []


def test_the_look_for_readings_of_time_finds_those_of_the_clock() -> None:
    found = {reading.partition(",")[0] for reading in readings_of_time(PACKAGE / "clock.py")}
    assert found == {
        "time",
        "time.time()",
        "asyncio.sleep()",
        "self._loop.call_later()",
    }


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_opens_with_one_sentence_that_says_its_job(module: Path) -> None:
    opening = (ast.get_docstring(tree_of(module)) or "").partition("\n\n")[0]
    assert re.fullmatch(r"[A-Z`].+\.", opening, re.DOTALL), "no sentence"
    assert not re.search(r"[.!?]\s+[A-Z]", opening), "more than one sentence"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_is_short_enough_to_read(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function, its docstring not counted: that is written for the caller."""
    last = function.end_lineno
    assert last is not None
    lines = last - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None and first.end_lineno is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_function_fits_on_a_screen(module: Path) -> None:
    too_long = {
        f"{node.name}, line {node.lineno}": lines_of(node)
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and lines_of(node) > LONGEST_FUNCTION
    }
    assert too_long == {}


@pytest.mark.parametrize("name", ["LONG", "ON_ONE_PYTHON", "SMOKE", "UNCOVERED"])
def test_the_tests_that_a_chore_names_are_there(name: str) -> None:
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    named = re.search(rf"^{name} = \((.*?)\)$", noxfile, re.DOTALL | re.MULTILINE)
    assert named is not None
    paths = re.findall(r'"(.+?)"', named[1])
    assert paths
    assert all((ROOT / path.partition("::")[0]).exists() for path in paths)


def test_nothing_is_excused_from_being_run_or_covered() -> None:
    excuse = re.compile(r"pragma:\s*no\s+(cover|branch)|mark\.(skip|xfail)|pytest\.(skip|xfail)\(")
    sources = {*MODULES, *(ROOT / "tests").rglob("*.py")} - {Path(__file__)}
    assert [path.name for path in sources if excuse.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_a_page_of_the_docs_links_to_no_page_outside(page: Path) -> None:
    """The site does not have it, and its build fails."""
    assert re.findall(r"\]\(\.\./[^)]*\.md", page.read_text(encoding="utf-8")) == []
