"""What tests need, ours and yours: virtual time and a client of the sandbox, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from syncro_async.client import AsyncClient
from syncro_async.clock import Clock
from syncro_async.testing.fake_clock import FakeClock, FakeTimer
from syncro_async.transport.http_engine import in_process_transport

if TYPE_CHECKING:
    from syncro_async.sandbox import Arrival, Sandbox

__all__ = ["FakeClock", "FakeTimer", "assert_within_limit", "sandbox_client"]

# How many calls of a window are written out when it holds too many.
_SHOWN = 8


@asynccontextmanager
async def sandbox_client(
    *,
    sandbox: Sandbox | None = None,
    leads: int = 100,
    clock: Clock | None = None,
    api_key: str | None = None,
    **options: Any,
) -> AsyncIterator[AsyncClient]:
    """An `AsyncClient` of a sandbox in this process: no key, no network, no waiting.

    Client and sandbox run on `clock`, a new `FakeClock` unless you give one, so a minute's wait
    for budget takes no time. Give a `sandbox` of your own to script trouble or look at what
    arrived (it must have been made with the same clock); else one with `leads` sample leads is
    made. `api_key` is the sandbox's full key unless given; `options` are those of `AsyncClient`.
    Raises `ModuleNotFoundError` without the extra `sandbox`.

        async with sandbox_client(leads=1000) as syncro:
            assert await syncro.leads.list().count() == 1000
    """
    try:
        from syncro_async.sandbox import FULL_KEY, Sandbox  # noqa: PLC0415  # comes with an extra
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the sandbox needs its extra: pip install "syncro-async[sandbox]"', name=error.name
        ) from error
    time = clock or FakeClock()
    server = sandbox or Sandbox(leads, clock=time)
    transport = in_process_transport(server.app)
    base_url = "http://localhost/api/v1"
    async with AsyncClient(
        api_key or FULL_KEY, base_url=base_url, clock=time, transport=transport, **options
    ) as client:
        yield client


def assert_within_limit(
    arrivals: Sandbox | Iterable[Arrival | float], *, calls: int = 60, seconds: float = 60.0
) -> int:
    """Assert that no window of `seconds`, wherever it begins, holds more than `calls` of them.

    Give a sandbox, its `arrivals`, or plain moments in seconds, in any order; a call at a window's
    end belongs to the next one. Of arrivals those count that the server counts, those it refused
    because its window was full, and each key for itself.
    Returns how many the fullest window holds. Raises `AssertionError`, which names the first window
    that holds too many and the calls in it, and `ValueError` for a limit that cannot be.
    """
    __tracebackhide__ = True
    if calls < 1 or not seconds > 0:
        raise ValueError(f"calls={calls}, seconds={seconds} is no limit")
    noted: Iterable[Arrival | float] = (
        arrivals if isinstance(arrivals, Iterable) else arrivals.arrivals
    )
    by_key: dict[str | None, list[tuple[float, str]]] = {}
    for each in noted:
        if isinstance(each, int | float):
            by_key.setdefault(None, []).append((each, ""))
        elif each.counted or each.overdrawn:
            told = f"  {each.method} {each.path} → {each.status or 'no answer'}"
            by_key.setdefault(each.key_name, []).append((each.at, told))
    fullest = 0
    for own in by_key.values():  # a loop of its own: what fails shows the caller's line alone
        own.sort(key=_moment)
        fullest = max(fullest, _fullest(own, calls, seconds))
    return fullest


def _moment(noted: tuple[float, str]) -> float:
    return noted[0]


def _fullest(moments: list[tuple[float, str]], calls: int, seconds: float) -> int:
    """How many the fullest window holds. Raises `AssertionError` for more than `calls`."""
    __tracebackhide__ = True
    fullest = first = 0
    for end, (at, _) in enumerate(moments, start=1):
        while at - moments[first][0] >= seconds:
            first += 1
        fullest = max(fullest, end - first)
        if fullest > calls:
            raise AssertionError(_too_many(moments[first:], calls, seconds))
    return fullest


def _too_many(moments: list[tuple[float, str]], calls: int, seconds: float) -> str:
    """What stands in the window that the first of them opens."""
    begin = moments[0][0]
    inside = [each for each in moments if each[0] - begin < seconds]
    lines = [f"{at:12.3f} s{told}" for at, told in inside]
    if len(lines) > _SHOWN:
        half = _SHOWN // 2
        lines[half:-half] = [f"{'…':>12} {len(lines) - _SHOWN} more"]
    window = f"the {seconds:g} s from {begin:.3f} s on"
    return "\n".join([f"{len(inside)} calls in {window}, where {calls} are allowed:", *lines])
