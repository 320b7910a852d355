"""Asserts that the calls that reached a server keep a rate limit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from syncro_async._internal.checks import is_int, is_number
from syncro_async._internal.plain_text import shown
from syncro_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from syncro_async.sandbox import Arrival, Sandbox

# The number of calls in the message of a failure.
_SHOWN = 8


def assert_within_limit(
    arrivals: Sandbox | Iterable[Arrival | float], *, calls: int = 60, seconds: float = 60.0
) -> int:
    """Assert that no window of `seconds`, at any start time, contains more than `calls` calls.

    - `arrivals`: a sandbox, its `arrivals`, or plain times in seconds, in any order. Of arrivals it
      takes those that the server counts and those that the server rejected because its window was
      full, separately for each key.
    - `calls`: the largest allowed number of calls in a window (default 60).
    - `seconds`: the length of a window (default 60.0). A call at the end of a window belongs to the
      next window.

    Returns the number of calls in the fullest window. Raises `AssertionError` with the first window
    that contains too many calls and its calls; `InvalidArgumentError` for `calls` below 1 or
    `seconds` that are not above 0.

        from syncro_async.sandbox import Sandbox
        from syncro_async.testing import assert_within_limit

        sandbox = Sandbox(clock=FakeClock())
        assert assert_within_limit(sandbox) == 0
    """
    __tracebackhide__ = True
    if not (is_int(calls) and calls >= 1 and is_number(seconds) and seconds > 0):
        raise InvalidArgumentError(
            f"calls={shown(calls)}, seconds={shown(seconds)} is not a limit: calls must be 1 or"
            " more, seconds more than 0",
            argument="calls",
        )
    entries: Iterable[Arrival | float] = (
        arrivals if isinstance(arrivals, Iterable) else arrivals.arrivals
    )
    by_key: dict[str | None, list[tuple[float, str]]] = {}
    for each in entries:
        if isinstance(each, int | float):
            by_key.setdefault(None, []).append((each, ""))
        elif each.counted or each.overdrawn:
            description = f"  {each.method} {each.path} → {each.status or 'no answer'}"
            by_key.setdefault(each.key_name, []).append((each.at, description))
    fullest = 0
    for own in by_key.values():  # a loop, so that a failure shows only the line of the test
        own.sort(key=_time)
        fullest = max(fullest, _fullest(own, calls, seconds))
    return fullest


def _time(entry: tuple[float, str]) -> float:
    return entry[0]


def _fullest(times: list[tuple[float, str]], calls: int, seconds: float) -> int:
    """The number of calls in the fullest window. Raises `AssertionError` for more than `calls`."""
    __tracebackhide__ = True
    fullest = first = 0
    for end, (at, _) in enumerate(times, start=1):
        while at - times[first][0] >= seconds:
            first += 1
        fullest = max(fullest, end - first)
        if fullest > calls:
            raise AssertionError(_too_many(times[first:], calls, seconds))
    return fullest


def _too_many(times: list[tuple[float, str]], calls: int, seconds: float) -> str:
    """The message about the window that starts at the first of the times."""
    start = times[0][0]
    inside = [each for each in times if each[0] - start < seconds]
    lines = [f"{at:12.3f} s{text}" for at, text in inside]
    if len(lines) > _SHOWN:
        half = _SHOWN // 2
        lines[half:-half] = [f"{'…':>12} {len(lines) - _SHOWN} more"]
    window = f"the {seconds:g} s from {start:.3f} s on"
    return "\n".join([f"{len(inside)} calls in {window}, where {calls} are allowed:", *lines])
