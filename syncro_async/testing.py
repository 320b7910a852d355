"""What tests need, ours and yours: virtual time and a client of the sandbox, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from syncro_async.client import AsyncClient
from syncro_async.clock import Clock
from syncro_async.fake_clock import FakeClock, FakeTimer
from syncro_async.transport.http_pool import in_process_transport

if TYPE_CHECKING:
    from syncro_async.sandbox import Sandbox

__all__ = ["FakeClock", "FakeTimer", "sandbox_client"]


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
