"""The chores of the project. Each runs in its own environment; `check` runs in yours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

HERE = Path(__file__).parent
SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.15")
# One worker more than cores, because tests of processes wait. A worker that has finished takes
# tests from the others: some files take a minute.
WORKERS = str((os.cpu_count() or 1) + 1)
ON_ALL_CORES = ("-n", WORKERS, "--dist", "worksteal", "-q")
# These tests search at random, count over long runs, or compare texts. Their result is the same on
# each Python, so one Python runs them.
ON_ONE_PYTHON = (
    "tests/bulk/exporting/test_export_killed.py",
    "tests/bulk/exporting/test_export_under_change.py",
    "tests/bulk/importing/test_import_killed.py",
    "tests/bulk/importing/test_imports_measured.py",
    "tests/cli",
    "tests/fleet/test_engines.py",
    "tests/fleet/test_stopped_process.py",
    "tests/limiting/shared/test_histories.py",
    "tests/limiting/shared/test_stopped_redis.py",
    "tests/limiting/test_one_model.py",
    "tests/limiting/test_foreign_calls.py",
    "tests/limiting/test_window_property.py",
    "tests/sandbox",
    "tests/test_benchmarks.py",
    "tests/test_pictures.py",
    "tests/system/test_fuzz_wire.py",
    "tests/system/test_processes.py",
    "tests/system/test_simulation.py",
    "tests/testing/test_testing_kit.py",
    "tests/integrations/test_workers.py",
)

# Extras of those who change the code, not of those who use it.
TOOLS = frozenset({"bench", "dev", "docs", "engines", "test"})
# The tests that send requests over sockets.
AT_THE_WIRE = ("tests/transport", "tests/client", "tests/dialects", "tests/testing", "tests/cli")
# Tests of sources and docs, and tests of which other tests cover each line. Coverage doubles the
# time of a test, so `check` runs these without it. When a line is reported as not covered, and a
# test here runs it, take that test out of this list.
UNCOVERED = (
    "tests/bulk/importing/test_round_trips.py::test_an_unedited_export_sends_nothing",
    "tests/limiting/shared/test_every_store.py",
    "tests/limiting/test_lanes.py",
    "tests/limiting/test_registry.py",
    "tests/resources/test_leads_at_the_wire.py",
    "tests/retrying/test_retry_after.py::test_no_text_at_all_breaks_it",
    "tests/test_docstrings.py",
    "tests/test_house.py",
    "tests/test_readme.py",
    "tests/transport/test_base_url.py",
    "tests/transport/test_fault_matrix.py",
    "tests/transport/test_time.py",
)
# Whole processes, long runs and searches at random, files or single tests. Other tests cover the
# lines that these run, and under coverage they would take twice as long.
LONG = (
    "tests/bulk/exporting/test_export_killed.py",
    "tests/bulk/exporting/test_export_once.py::test_a_day_with_most_leads_takes_no_second_reading",
    "tests/bulk/exporting/test_export_once.py::test_thirty_thousand_leads_take_half_the_requests",
    "tests/bulk/exporting/test_export_under_change.py",
    "tests/bulk/files/test_writing.py::test_no_text_leaves_as_a_formula_and_every_text_comes_back",
    "tests/bulk/importing/test_diff.py::test_only_rows_that_change_something_are_sent",
    "tests/bulk/importing/test_import.py::test_a_file_about_one_lead_alone_is_sent_row_by_row",
    "tests/bulk/importing/test_import_killed.py",
    "tests/bulk/importing/test_imports_measured.py",
    "tests/bulk/importing/test_lost_answers.py::test_a_network_that_stays_away_stops_the_job",
    "tests/bulk/syncing/test_sync.py::test_leads_that_come_change_and_go_meanwhile_are_caught_up",
    "tests/bulk/syncing/test_sync.py::test_no_change_is_skipped_whatever_the_clocks_say",
    "tests/bulk/test_concurrent_map.py::test_no_more_items_are_taken_than_are_at_work_or_wait",
    "tests/bulk/test_round_trip.py",
    "tests/cli/test_import_cases.py::test_each_file_arrives_right",
    "tests/cli/test_import_layouts.py",
    "tests/fleet/test_engines.py",
    "tests/fleet/test_stopped_process.py",
    "tests/integrations/test_client_disconnects.py::test_no_write_is_begun_during_a_cancellation",
    "tests/integrations/test_workers.py",
    "tests/limiting/budget/test_lane_queue.py::test_ten_thousand_cancelled_calls_lose_no_slot",
    "tests/limiting/shared/test_histories.py",
    "tests/limiting/shared/test_redis_store.py::test_cancelled_visits_leave_the_store_as_usable_as_before",
    "tests/limiting/shared/test_session.py::TestLongQueues",
    "tests/limiting/shared/test_session.py::TestPatience",
    "tests/limiting/shared/test_stopped_redis.py",
    "tests/limiting/test_burst.py::test_rounding_never_costs_a_second_wait",
    "tests/limiting/test_foreign_calls.py",
    "tests/limiting/test_max_wait.py::test_it_is_so_for_calls_that_come_one_after_the_other",
    "tests/limiting/test_max_wait.py::test_the_wait_foretold_is_within_a_fifth_of_the_truth",
    "tests/limiting/test_one_model.py",
    "tests/limiting/test_window_property.py",
    "tests/paging/test_ends.py::test_a_list_without_end_of_what_the_server_does_not_count_is_left",
    "tests/paging/test_ends.py::test_no_lead_is_lost",
    "tests/paging/test_paginator.py::TestReading::test_memory_does_not_grow_with_the_pages",
    "tests/system",
    "tests/test_benchmarks.py",
    "tests/test_pictures.py",
    "tests/testing/test_testing_kit.py::test_a_job_of_50_000_rows_takes_seconds_in_virtual_time",
    "tests/transport/test_broken_connections.py::TestNoConnection::test_a_thousand_failures_consume_no_budget",
    "tests/transport/test_cancellation.py::TestInTheQueue::test_ten_thousand_that_leave",
    "tests/transport/test_cancelled_at_every_await.py",
    "tests/transport/test_fuzzed_answers.py",
    "tests/transport/test_many_loops.py",
)
# What another Python runs in a minute.
SMOKE = (
    "tests/client",
    "tests/dialects",
    "tests/limiting/budget",
    "tests/models",
    "tests/paging",
    "tests/resources",
    "tests/retrying",
)

nox.needs_version = ">=2025.5"
nox.options.sessions = ["check"]
# `PYTHONS` names the interpreters that were found. Without any, `tests` must fail, not be skipped.
nox.options.error_on_missing_interpreters = True


def _let_pyenv_show_all() -> None:
    """Enable each supported Python that pyenv has installed; pyenv's shims fail for the others."""
    versions = Path(os.environ.get("PYENV_ROOT", "")) / "versions"
    if os.environ.get("PYENV_ROOT") and "PYENV_VERSION" not in os.environ:
        held = [path.name for wanted in SUPPORTED for path in versions.glob(f"{wanted}.*")]
        os.environ["PYENV_VERSION"] = ":".join([*held, "system"])


def _runs(command: str) -> bool:
    found = shutil.which(command)
    if found is None:
        return False
    return subprocess.run([found, "-V"], capture_output=True, check=False).returncode == 0


_let_pyenv_show_all()
PYTHONS = [version for version in SUPPORTED if _runs(f"python{version}")]


def _python(session: nox.Session) -> str:
    return sys.executable if session.python is False else str(Path(session.bin, "python"))


def _run_module(session: nox.Session, *command: str) -> None:
    # Images of containers often forbid bytecode. Hundreds of processes would then compile every
    # module again, and each worker would rewrite the assertions of every test again.
    session.run(_python(session), "-m", *command, env={"PYTHONDONTWRITEBYTECODE": None})


def _lint(session: nox.Session) -> None:
    _run_module(session, "ruff", "check")
    _run_module(session, "ruff", "format", "--check")


def _types(session: nox.Session) -> None:
    checkers = [("mypy",), ("pyright", "--pythonpath", _python(session))]
    # The package also as it runs on other systems; tests and benchmarks use what POSIX has.
    checkers += [
        ("mypy", "--platform", system, "--cache-dir", f".mypy_cache/{system}", "syncro_async")
        for system in ("win32", "darwin")
    ]
    # Each uses one core, so two at once take half the time.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda command: _run_module(session, *command), checkers))


def _without(*tests: str) -> list[str]:
    """The options that leave out these tests; a file of them is not even imported."""
    return [f"--{'deselect' if '::' in each else 'ignore'}={each}" for each in tests]


def _covered_tests(session: nox.Session) -> None:
    left_out = _without(*LONG, *UNCOVERED)
    covered = (*ON_ALL_CORES, *left_out, *session.posargs)
    _run_module(session, "coverage", "erase")
    _run_module(session, "coverage", "run", "-m", "pytest", *covered)
    _run_module(session, "coverage", "combine", "--quiet")
    _run_module(session, "coverage", "report")


@nox.session(python=False)
def check(session: nox.Session) -> None:
    """Lint, types, tests and branch coverage, in the current environment (before a commit)."""
    _lint(session)
    _types(session)
    _covered_tests(session)
    _run_module(session, "pytest", *ON_ALL_CORES, *_without(*LONG), *UNCOVERED)


@nox.session(python=False)
def long(session: nox.Session) -> None:
    """The tests that `check` leaves out: whole processes, long runs, searches at random."""
    _run_module(session, "pytest", *ON_ALL_CORES, *LONG, *session.posargs)


@nox.session(python=PYTHONS or SUPPORTED)
def tests(session: nox.Session) -> None:
    """The tests on each supported Python that is installed; `-- --quick`: those of a minute."""
    session.install("-e", ".[engines,test]")
    options = [option for option in session.posargs if option != "--quick"]
    if "--quick" in session.posargs:
        options += SMOKE
    _run_module(session, "pytest", *ON_ALL_CORES, *options)


def _lowest() -> list[str]:
    """Each direct dependency in the lowest release that pyproject.toml admits."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(each for name in extras if name not in TOOLS for each in extras[name]),
    ]
    bounds = (re.match(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)", each) for each in wanted)
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


@nox.session
def lowest(session: nox.Session) -> None:
    """The quick tests with the lowest release of each dependency that pyproject.toml admits."""
    constraints = Path(session.create_tmp(), "lowest.txt").resolve()
    constraints.write_text("\n".join(_lowest()), encoding="utf-8")
    session.install("-e", ".[test]", "-c", str(constraints))
    _quick_tests(session)


@nox.session
def newest(session: nox.Session) -> None:
    """The quick tests with the newest release of each dependency, also of indirect ones."""
    session.install("--upgrade", "--upgrade-strategy", "eager", "-e", ".[test]")
    _quick_tests(session)


def _quick_tests(session: nox.Session) -> None:
    left_out = [f"--ignore={path}" for path in ON_ONE_PYTHON]
    _run_module(session, "pytest", *ON_ALL_CORES, *left_out, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install("ruff")
    _lint(session)


@nox.session
def types(session: nox.Session) -> None:
    """Mypy on everything, the package also for Windows and macOS; pyright strict on the API."""
    session.install("-e", ".[dev]")
    _types(session)


@nox.session
def coverage(session: nox.Session) -> None:
    """The tests with branch coverage of the package; fails under 100 %."""
    session.install("-e", ".[engines,test]")
    _covered_tests(session)


@nox.session
def engines(session: nox.Session) -> None:
    """All tests at the wire over httpx2; `check` runs a chosen set of them over both libraries."""
    session.install("-e", ".[test]")
    session.env["SYNCRO_ENGINE"] = "httpx2"
    _run_module(session, "pytest", *ON_ALL_CORES, *AT_THE_WIRE, *session.posargs)


@nox.session
def readme(session: nox.Session) -> None:
    """Run the examples of the README and of docs/."""
    session.install("-e", ".[test]")
    _run_module(session, "pytest", "tests/test_readme.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site in build/docs; any warning is an error."""
    session.install("-e", ".[docs]")
    session.chdir(HERE)
    shutil.rmtree("build/docs", ignore_errors=True)
    _run_module(session, "sphinx", "-W", "--keep-going", "-b", "html", "docs", "build/docs")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it without extras, then with those of the command, and import it."""
    folder = Path(session.create_tmp()).resolve()
    for old in folder.glob("*.whl"):
        old.unlink()
    session.run("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(HERE))
    (built,) = folder.glob("*.whl")
    version = built.name.split("-")[1]
    session.chdir(folder)  # away from the checkout, so that only the wheel can be imported
    session.install(str(built))
    session.run("python", "-I", "-c", _LOOK_AT_THE_PACKAGE, version)
    session.install(f"{built}[cli,sandbox]")
    said = session.run("syncro", "--version", silent=True) or ""
    if version not in said:
        session.error(f"`syncro --version` said {said!r}, not {version}")


@nox.session
def release(session: nox.Session) -> None:
    """Build sdist and wheel twice, compare and check them; `-- --tag` tags the commit then."""
    session.install("build", "twine")
    session.chdir(HERE)
    changed = session.run("git", "status", "--porcelain", external=True, silent=True)
    if changed:
        session.error(f"commit these files first, so that the tag names what is built:\n{changed}")
    folders = [Path(session.create_tmp(), name).resolve() for name in ("first", "second")]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        session.run("python", "-m", "build", "--outdir", str(folder), silent=True)
    first, second = ({each.name: each.read_bytes() for each in at.iterdir()} for at in folders)
    if first != second:
        session.error("two builds of one commit differ")
    session.run("twine", "check", "--strict", *map(str, folders[0].iterdir()))
    (version,) = re.findall(r"syncro_async-([^ ]+)\.tar\.gz", " ".join(first))
    if f"## [{version}] - 2" not in Path("CHANGELOG.md").read_text(encoding="utf-8"):
        session.error(f"date the section of {version} in CHANGELOG.md before the release")
    if "--tag" in session.posargs:
        session.run("git", "tag", "-a", f"v{version}", "-m", version, external=True)


_LOOK_AT_THE_PACKAGE = """
import importlib.metadata, importlib.resources, sys
import syncro_async
wanted = sys.argv[1]
assert syncro_async.__version__ == wanted, syncro_async.__version__
assert importlib.metadata.version("syncro-async") == wanted
assert importlib.resources.files(syncro_async).joinpath("py.typed").is_file()
assert syncro_async.AsyncClient("key").budget().available == 60
print("imported", syncro_async.__name__, wanted)
"""


@nox.session
def soak(session: nox.Session) -> None:
    """Half a minute of faults, every call accounted for; `-- --seconds 600` for the long form."""
    session.install("-e", ".[sandbox]")
    session.run("python", str(HERE / "benchmarks" / "soak.py"), *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Five minutes of calls to a server that answers anything; `-- --case 4711` for one again."""
    session.install("-e", ".")
    options = session.posargs or ["--seconds", "300"]
    session.run("python", str(HERE / "benchmarks" / "fuzz_wire.py"), *options)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks, and write docs/benchmarks.md; `-- calls stream` runs the named ones."""
    session.install("-e", ".[bench]")
    session.chdir(HERE)
    _run_module(session, "benchmarks.report", *session.posargs)
