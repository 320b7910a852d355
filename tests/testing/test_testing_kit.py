"""What the package offers for tests of programs that use it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncro_async import AsyncClient, RateLimit
from syncro_async.errors import ConfigurationError, InvalidArgumentError
from syncro_async.sandbox import READ_ONLY_KEY, Arrival, Sandbox, Trouble
from syncro_async.testing import FakeClock, assert_within_limit, sandbox_client


class TestTheLimit:
    async def test_is_kept_by_this_client_and_spent_to_the_last_call(self) -> None:
        clock = FakeClock()
        sandbox = Sandbox(300, clock=clock)
        async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
            await asyncio.gather(*(syncro.leads.get(number) for number in range(1, 201)))
        assert assert_within_limit(sandbox) == 60
        assert assert_within_limit(sandbox.arrivals, calls=60, seconds=60) == 60
        with pytest.raises(AssertionError, match=r"60 calls in the 60 s from 0.000 s on, where 59"):
            assert_within_limit(sandbox, calls=59)

    async def test_is_told_with_the_calls_of_the_window_where_it_is_not_kept(self) -> None:
        clock = FakeClock()
        sandbox = Sandbox(clock=clock)
        unlimited = RateLimit(10_000, 1.0)
        async with sandbox_client(sandbox=sandbox, clock=clock, rate_limit=unlimited) as syncro:
            await asyncio.gather(*(syncro.leads.get(number) for number in range(1, 62)))
        assert sandbox.overdrawn == 1
        with pytest.raises(AssertionError) as caught:
            assert_within_limit(sandbox)
        first, *calls = str(caught.value).splitlines()
        assert first == "61 calls in the 60 s from 0.000 s on, where 60 are allowed:"
        assert calls == [
            *(f"       0.000 s  GET /leads/{number} → 200" for number in range(1, 5)),
            "           … 53 more",
            *(f"       0.000 s  GET /leads/{number} → 200" for number in range(58, 61)),
            "       0.000 s  GET /leads/61 → 429",
        ]

    async def test_does_not_count_what_the_server_does_not_count(self) -> None:
        clock = FakeClock()
        sandbox = Sandbox(clock=clock)
        sandbox.script(Trouble(status=401, times=3))
        async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
            for _ in range(3):
                with pytest.raises(Exception, match="401"):
                    await syncro.leads.get(1)
            await syncro.leads.get(1)
        assert len(sandbox.arrivals) == 4
        assert assert_within_limit(sandbox) == 1

    async def test_holds_for_each_key_by_itself(self) -> None:
        clock = FakeClock()
        sandbox = Sandbox(clock=clock)
        for key in (None, READ_ONLY_KEY):
            async with sandbox_client(sandbox=sandbox, clock=clock, api_key=key) as syncro:
                await asyncio.gather(*(syncro.leads.get(number) for number in range(1, 51)))
        assert clock.monotonic() < 60
        assert assert_within_limit(sandbox) == 50

    def test_may_be_asked_of_plain_moments_in_any_order(self) -> None:
        assert assert_within_limit([60.0, 0.0, 59.9, 1], calls=3) == 3
        assert assert_within_limit([], calls=1) == 0
        with pytest.raises(AssertionError) as caught:
            assert_within_limit((5.0, 60.5, 1.0, 60.9, 61.0), calls=3)
        assert str(caught.value).splitlines() == [
            "4 calls in the 60 s from 1.000 s on, where 3 are allowed:",
            "       1.000 s",
            "       5.000 s",
            "      60.500 s",
            "      60.900 s",
        ]

    def test_is_asked_of_an_arrival_that_got_no_answer(self) -> None:
        lost = Arrival(1.0, "GET", "/leads", "", "full", counted=True)
        with pytest.raises(AssertionError, match="GET /leads → no answer"):
            assert_within_limit([lost, lost], calls=1)

    @pytest.mark.parametrize("limit", [{"calls": 0}, {"seconds": 0}, {"seconds": float("nan")}])
    def test_must_be_one(self, limit: dict[str, float]) -> None:
        ask: Callable[..., int] = assert_within_limit
        with pytest.raises(ValueError, match="is not a limit"):
            ask([], **limit)

    @given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 5), st.integers(1, 20))
    def test_is_broken_exactly_where_a_count_of_each_window_says_so(
        self, moments: list[int], calls: int, seconds: int
    ) -> None:
        windows = [sum(begin <= at < begin + seconds for at in moments) for begin in moments]
        if max(windows, default=0) > calls:
            with pytest.raises(AssertionError):
                assert_within_limit(moments, calls=calls, seconds=seconds)
        else:
            assert assert_within_limit(moments, calls=calls, seconds=seconds) == max(
                windows, default=0
            )


async def bring_up_to_date(syncro: AsyncClient, rows: Iterator[tuple[int, str | None]]) -> int:
    """A job as users write it: their table against the book, a write for what differs."""
    here = {lead.id: lead.source async for lead in syncro.leads.list()}
    stale = [number for number, source in rows if here.get(number) != source]
    queue = iter(stale)

    async def write() -> None:
        for number in queue:
            await syncro.leads.add_tags(number, "moved")

    await asyncio.gather(*(write() for _ in range(10)))
    return len(stale)


async def test_a_job_of_50_000_rows_takes_seconds_in_virtual_time() -> None:
    clock = FakeClock()
    sandbox = Sandbox(50_000, clock=clock)
    rows = [(number, lead["source"]) for number, lead in sandbox.leads.items()]
    rows[::100] = [(number, "elsewhere") for number, _ in rows[::100]]
    begun = process_time()
    async with sandbox_client(sandbox=sandbox, clock=clock, lane="bulk") as syncro:
        assert await bring_up_to_date(syncro, iter(rows)) == 500
    assert clock.monotonic() > 12 * 60
    assert process_time() - begun < 30  # of this process, whatever else the machine does
    assert sandbox.refused == 0
    assert assert_within_limit(sandbox) == 60
    assert sum("moved" in (lead["tags"] or ()) for lead in sandbox.leads.values()) == 500


async def test_a_client_of_the_sandbox_tells_of_a_fault_that_never_happened() -> None:
    clock = FakeClock()
    sandbox = Sandbox(3, clock=clock)
    sandbox.script(Trouble(status=503, path="/tasks"))
    with pytest.raises(AssertionError, match="never happened"):
        async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
            await syncro.leads.get(1)
    with pytest.raises(ZeroDivisionError):
        async with sandbox_client(sandbox=sandbox, clock=clock):
            raise ZeroDivisionError


@pytest.mark.parametrize(
    "wrong",
    [
        {"sandbox": 3},
        {"leads": "10"},
        {"leads": -1},
        {"clock": 3},
        {"api_key": 3},
        {"timeout": "1"},
    ],
)
async def test_a_client_of_wrong_arguments_is_refused_with_the_name(wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    # A key is not shown.
    pattern = "API key must be a str" if name == "api_key" else f"{name}={value!r} must"
    with pytest.raises(ConfigurationError, match=pattern):
        async with sandbox_client(**wrong):
            pass


@pytest.mark.parametrize("clock", [3, "now", object()])
def test_a_client_takes_nothing_but_a_clock(clock: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"clock=.* must have the methods monotonic, wall"):
        AsyncClient("key", clock=clock)


@pytest.mark.parametrize("wrong", [{"calls": "2"}, {"calls": 1.5}, {"seconds": "60"}])
def test_the_assertion_takes_nothing_but_a_limit(wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(InvalidArgumentError, match=re.escape(f"{name}={value!r}")):
        assert_within_limit([], **wrong)


@pytest.mark.parametrize("value", ["1", None, float("nan"), float("inf"), True])
async def test_a_clock_takes_nothing_but_finite_times(value: Any) -> None:
    for name in ("start", "wall"):
        with pytest.raises(InvalidArgumentError, match=f"{name}={value!r} must be"):
            FakeClock(**{name: value})
    clock = FakeClock()
    with pytest.raises(InvalidArgumentError, match=f"seconds={value!r} must be"):
        clock.jump_wall(value)
    with pytest.raises(InvalidArgumentError, match=f"seconds={value!r} must be"):
        await clock.advance(value)
