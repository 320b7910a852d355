"""A pytest plugin with the fixtures `fake_clock`, `syncro_sandbox` and `syncro_client`.

pytest loads it automatically when this package is installed. A fixture imports its modules at its
first use. The sandbox needs the extra `sandbox`. The client needs pytest-asyncio in any mode, or
anyio's pytest plugin.

    async def test_the_export_reads_every_lead(syncro_client):
        assert await syncro_client.leads.list().count() == 100
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from syncro_async.client import AsyncClient
    from syncro_async.sandbox import Sandbox
    from syncro_async.testing.fake_clock import FakeClock


@pytest.fixture
def fake_clock() -> FakeClock:
    """A virtual clock, on which waiting takes no real time (`syncro_async.testing.FakeClock`)."""
    from syncro_async.testing.fake_clock import FakeClock

    return FakeClock()


@pytest.fixture
def syncro_sandbox(fake_clock: FakeClock) -> Iterator[Sandbox]:
    """A new sandbox with 100 leads on `fake_clock` (extra `sandbox`).

    A scripted `Trouble` that did not happen fails the test.
    """
    from syncro_async.sandbox import Sandbox

    sandbox = Sandbox(leads=100, clock=fake_clock)
    yield sandbox
    sandbox.check_script()


async def syncro_client(
    syncro_sandbox: Sandbox, fake_clock: FakeClock
) -> AsyncIterator[AsyncClient]:
    """An `AsyncClient` of `syncro_sandbox` on `fake_clock`; the fixture closes it."""
    from syncro_async.testing import sandbox_client

    async with sandbox_client(sandbox=syncro_sandbox, clock=fake_clock) as client:
        yield client


def pytest_configure(config: pytest.Config) -> None:
    """Register the asynchronous fixture for the plugin that runs it."""
    fixture: Callable[[Any], Any] = pytest.fixture
    if config.pluginmanager.hasplugin("asyncio"):
        # In its strict mode, pytest-asyncio runs only fixtures of its own decorator.
        import pytest_asyncio

        fixture = pytest_asyncio.fixture
    fixtures = ModuleType("syncro_async.async_fixtures")
    vars(fixtures)["syncro_client"] = fixture(syncro_client)
    config.pluginmanager.register(fixtures, fixtures.__name__)
