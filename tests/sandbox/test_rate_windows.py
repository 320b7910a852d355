"""How the sandbox counts: three kinds of window, on the sandbox's own clock."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from syncro_async.sandbox import Sandbox
from syncro_async.sandbox.rate_windows import Window, WindowKind, make_window
from syncro_async.testing.fake_clock import FakeClock

Connect = Callable[..., httpx.AsyncClient]


def answers(window: Window, *moments: float) -> list[int | None]:
    return [window.arrive(moment) for moment in moments]


def test_a_fixed_window_opens_with_its_first_request_and_lasts_its_length() -> None:
    window = make_window("fixed", 2, 60.0)
    assert answers(window, 10.0, 69.9, 69.99) == [None, None, 1]
    assert answers(window, 70.0, 129.9, 129.9) == [None, None, 1]


def test_a_refused_request_neither_counts_nor_extends_the_fixed_window() -> None:
    window = make_window("fixed", 1, 60.0)
    assert answers(window, 0.0, 30.0, 59.0, 60.0) == [None, 30, 1, None]


def test_a_fixed_window_announces_whole_seconds_and_may_say_zero_a_second_early() -> None:
    window = make_window("fixed", 1, 60.0)
    assert answers(window, 0.9, 60.1, 60.8) == [None, 0, 0]
    assert window.arrive(60.9) is None


def test_the_announced_wait_is_less_than_a_second_from_the_truth() -> None:
    for start in (0.0, 0.25, 0.5, 0.999):
        window = make_window("fixed", 1, 5.0)
        window.arrive(start)
        for step in range(1, 100):
            now = start + step * 0.05
            said = window.arrive(now)
            assert said is not None
            assert abs(said - (start + 5.0 - now)) <= 1.0


def test_an_aligned_window_begins_at_whole_multiples() -> None:
    window = make_window("aligned", 2, 60.0)
    assert answers(window, 58.0, 59.0, 59.5, 60.0, 61.0, 62.5) == [None, None, 1, None, None, 58]


def test_a_sliding_window_counts_the_last_minute_wherever_it_begins() -> None:
    window = make_window("sliding", 2, 60.0)
    assert answers(window, 0.0, 30.0, 59.5, 60.0, 60.5) == [None, None, 1, None, 30]


@pytest.mark.parametrize("kind", ["fixed", "aligned", "sliding"])
async def test_a_shorter_minute_is_a_shorter_window(
    connect: Connect, clock: FakeClock, kind: WindowKind
) -> None:
    sandbox = Sandbox(5, clock=clock, minute=5, per_minute=2, window=kind)
    api = connect(sandbox)
    statuses = []
    for _ in range(3):
        statuses += [(await api.get("/leads")).status_code for _ in range(3)]
        await clock.sleep(5)
    assert statuses == [200, 200, 429] * 3
    assert sandbox.refused == 3
