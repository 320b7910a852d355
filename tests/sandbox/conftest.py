"""A plain HTTP client in front of a sandbox, in process and without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from syncro_async.sandbox import FULL_KEY, Sandbox
from syncro_async.testing.fake_clock import FakeClock

Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """`connect(sandbox, key, accept)` opens a client that closes with the test."""
    opened: list[httpx.AsyncClient] = []

    def open_client(
        sandbox: Sandbox, key: str | None = FULL_KEY, accept: str = "application/json"
    ) -> httpx.AsyncClient:
        headers = {"Accept": accept} | ({} if key is None else {"X-API-Key": key})
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(sandbox.app),
            base_url="http://sandbox/api/v1",
            headers=headers,
        )
        opened.append(client)
        return client

    yield open_client
    for client in opened:
        await client.aclose()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sandbox(clock: FakeClock) -> Sandbox:
    """A hundred leads, and more budget than a test spends."""
    return Sandbox(clock=clock, per_minute=10_000)


@pytest.fixture
def api(sandbox: Sandbox, connect: Connect) -> httpx.AsyncClient:
    """The full key's client of `sandbox`."""
    return connect(sandbox)
