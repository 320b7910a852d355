"""A pytest plugin with the fixtures `fake_clock`, `syncro_sandbox` and `syncro_client`.

pytest loads it by itself once this package is installed. What the fixtures need is imported when
a test asks for one of them: the sandbox needs the extra `sandbox`, the client pytest-asyncio (in
either of its modes; without it, anyio's own pytest plugin will do).

    async def test_the_export_reads_every_lead(syncro_client):
        assert await syncro_client.leads.list().count() == 100
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from syncro_async.client import AsyncClient
    from syncro_async.sandbox import Sandbox
    from syncro_async.testing.fake_clock import FakeClock


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock on which waiting costs nothing; see `syncro_async.testing.FakeClock`."""
    from syncro_async.testing.fake_clock import FakeClock

    return FakeClock()


@pytest.fixture
def syncro_sandbox(fake_clock: FakeClock) -> Sandbox:
    """A sandbox of 100 leads on `fake_clock`, new for each test (extra `sandbox`)."""
    from syncro_async.sandbox import Sandbox

    return Sandbox(leads=100, clock=fake_clock)


async def syncro_client(
    syncro_sandbox: Sandbox, fake_clock: FakeClock
) -> AsyncIterator[AsyncClient]:
    """An `AsyncClient` bound in process to `syncro_sandbox`, on `fake_clock`, closed afterwards."""
    from syncro_async.testing import sandbox_client

    async with sandbox_client(sandbox=syncro_sandbox, clock=fake_clock) as client:
        yield client


def pytest_configure(config: pytest.Config) -> None:
    """Hand the one asynchronous fixture to the plugin that will run it."""
    fixture: Callable[[Any], Any] = pytest.fixture
    if config.pluginmanager.hasplugin("asyncio"):
        # In its strict mode, pytest-asyncio runs only the fixtures that carry its own mark.
        import pytest_asyncio

        fixture = pytest_asyncio.fixture
    fixtures = ModuleType("syncro_async.async_fixtures")
    vars(fixtures)["syncro_client"] = fixture(syncro_client)
    config.pluginmanager.register(fixtures, fixtures.__name__)
