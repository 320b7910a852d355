"""Tools for tests: virtual time, a client of the sandbox, and an assertion of the rate limit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Unpack

from syncro_async._internal.checks import is_int
from syncro_async._internal.plain_text import shown
from syncro_async.client import AsyncClient
from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError
from syncro_async.settings import SharedOptions, clock_from
from syncro_async.testing.assertions import assert_within_limit
from syncro_async.testing.fake_clock import FakeClock, FakeTimer
from syncro_async.transport.http_engine import in_process_transport

if TYPE_CHECKING:
    from syncro_async.sandbox import Sandbox

__all__ = ["FakeClock", "FakeTimer", "assert_within_limit", "sandbox_client"]


@asynccontextmanager
async def sandbox_client(
    *,
    sandbox: Sandbox | None = None,
    leads: int = 100,
    clock: Clock | None = None,
    api_key: str | None = None,
    **options: Unpack[SharedOptions],
) -> AsyncIterator[AsyncClient]:
    """An `AsyncClient` of a sandbox in this process: no key, no network, no waiting.

    - `sandbox`: a sandbox of your own, to script faults or to read its arrivals. Create it with the
      same clock. By default a new one is created.
    - `leads`: the number of sample leads of the new sandbox (default 100).
    - `clock`: the clock of client and sandbox. The default is a new `FakeClock`, on which a minute
      of waiting for budget takes no real time.
    - `api_key`: a key of the sandbox; the full key by default.
    - `options`: the options of `AsyncClient`.

    Raises `ConfigurationError` for an argument of another type,
    `ModuleNotFoundError` without the extra `sandbox`, and `AssertionError` at the end of the
    block when a scripted `Trouble` never happened.

        async with sandbox_client(leads=1000) as syncro:
            assert await syncro.leads.list().count() == 1000
    """
    try:
        from syncro_async.sandbox import FULL_KEY, Sandbox  # noqa: PLC0415  # comes with an extra
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the sandbox needs its extra: pip install "syncro-async[sandbox]"', name=error.name
        ) from error
    clock = clock_from(FakeClock() if clock is None else clock)
    if sandbox is not None and not isinstance(sandbox, Sandbox):
        raise ConfigurationError(f"sandbox={shown(sandbox)} must be a Sandbox or None")
    if not (is_int(leads) and leads >= 0):
        raise ConfigurationError(f"leads={shown(leads)} must be a whole number, 0 or more")
    server = sandbox or Sandbox(leads, clock=clock)
    transport = in_process_transport(server.app, options.get("engine"))
    base_url = "http://localhost/api/v1"
    async with AsyncClient(
        api_key or FULL_KEY, base_url=base_url, clock=clock, transport=transport, **options
    ) as client:
        yield client
    server.check_script()  # not reached when the block has failed, which then is the reason
