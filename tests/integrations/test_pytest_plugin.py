"""The fixtures a user's tests get from the installed package, in pytest runs of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from syncro_async import AsyncClient
from syncro_async.sandbox import Sandbox
from syncro_async.testing.fake_clock import FakeClock

GUIDE = Path(__file__).parents[2] / "docs" / "testing.md"
USERS_TEST = """
    import pytest

    {mark}
    async def test_the_book(syncro_client, syncro_sandbox, fake_clock):
        leads = await syncro_client.leads.list(page_size=50).collect()
        assert len(leads) == 100
        assert [arrival.path for arrival in syncro_sandbox.arrivals] == ["/leads"] * 2
        assert fake_clock.monotonic() < 60
"""


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    # Left unset, this makes pytest-asyncio warn; set, it makes a pytest without that plugin warn.
    scope = () if "no:asyncio" in args else ("-o", "asyncio_default_fixture_loop_scope=function")
    pytester.makeini("[pytest]")  # its folder may be inside a checkout with options of its own
    return pytester.runpytest_subprocess("-W", "error", *scope, *args)


def test_the_example_of_the_guide_holds(pytester: pytest.Pytester) -> None:
    examples = re.findall(
        r"^```python\n(.*?)^```$", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    pytester.makepyfile("\n".join(each for each in examples if "def test_" in each))
    run(pytester, "--asyncio-mode=auto").assert_outcomes(passed=1)


def test_a_limit_that_is_broken_is_shown_at_the_line_that_asked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        from syncro_async.testing import assert_within_limit

        def test_too_many():
            assert_within_limit([second / 2 for second in range(61)])
    """)
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E * 61 calls in the 60 s from 0.000 s on*", "test_*.py:4: Asser*"]
    )
    result.stdout.no_fnmatch_line("*_fullest*")


def test_a_scripted_fault_that_never_happened_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        from syncro_async.sandbox import Trouble

        def test_nothing_is_sent(syncro_sandbox):
            syncro_sandbox.script(Trouble(status=503, path="/leads"))
    """)
    result = run(pytester)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*never happened: Trouble(status=503, path='/leads')*"])


async def test_the_client_talks_to_the_sandbox_on_the_fake_clock(
    syncro_client: AsyncClient, syncro_sandbox: Sandbox, fake_clock: FakeClock
) -> None:
    for _ in range(61):
        await syncro_client.leads.get(next(iter(syncro_sandbox.leads)))
    assert syncro_sandbox.refused == 0
    assert len(syncro_sandbox.arrivals) == 61
    assert fake_clock.monotonic() >= 60


def test_each_test_gets_a_sandbox_and_a_clock_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.parametrize("turn", [1, 2])
        async def test_the_last_lead_can_go(turn, syncro_client, syncro_sandbox, fake_clock):
            assert len(syncro_sandbox.leads) == 100
            assert fake_clock.monotonic() == 0
            await fake_clock.sleep(1)
            await syncro_client.leads.delete(max(syncro_sandbox.leads))
            assert len(syncro_sandbox.leads) == 99
    """)
    run(pytester, "--asyncio-mode=auto").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("mode", "mark"), [("auto", ""), ("strict", "@pytest.mark.asyncio")], ids=["auto", "strict"]
)
def test_it_works_in_both_modes_of_pytest_asyncio(
    pytester: pytest.Pytester, mode: str, mark: str
) -> None:
    pytester.makepyfile(USERS_TEST.format(mark=mark))
    run(pytester, f"--asyncio-mode={mode}").assert_outcomes(passed=1)


def test_it_works_with_the_plugin_of_anyio_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(USERS_TEST.format(mark="@pytest.mark.anyio"))
    pytester.makeconftest("""
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
    """)
    run(pytester, "-p", "no:asyncio").assert_outcomes(passed=1)


def test_a_suite_that_asks_for_none_of_it_pays_for_none_of_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_nothing_of_the_sandbox_is_loaded():
            assert "syncro_async.integrations.pytest_plugin" in sys.modules
            assert not {"syncro_async.sandbox", "starlette", "uvicorn"} & set(sys.modules)
    """)
    run(pytester).assert_outcomes(passed=1)


def test_without_the_extra_only_the_tests_that_need_it_fail(pytester: pytest.Pytester) -> None:
    # A finder, because newer Pythons look at each entry of sys.modules.
    pytester.makeconftest("""
        import sys

        class WithoutStarlette:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "starlette":
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        sys.meta_path.insert(0, WithoutStarlette())
    """)
    pytester.makepyfile("""
        def test_that_needs_it(syncro_sandbox):
            pass

        def test_that_does_not(fake_clock):
            assert fake_clock.monotonic() == 0
    """)
    result = run(pytester)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*starlette*"])


def test_every_fixture_says_in_the_list_of_fixtures_what_it_is(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--fixtures", "--asyncio-mode=auto")
    for name in ("fake_clock", "syncro_sandbox", "syncro_client"):
        result.stdout.re_match_lines([rf"{name} -- .*pytest_plugin\.py:\d+", r"    An? .+"])
