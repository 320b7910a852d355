"""What the tests of bulk jobs share: virtual time, and a book of leads that may change."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from syncro_async import AsyncClient
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock
from tests.bulk.exporting.changing_list import ChangingSandbox


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sandbox(clock: FakeClock) -> ChangingSandbox:
    """450 leads: three pages."""
    return ChangingSandbox(450, clock=clock)


@pytest.fixture
async def syncro(sandbox: ChangingSandbox, clock: FakeClock) -> AsyncIterator[AsyncClient]:
    """A client of the sandbox."""
    async with sandbox_client(sandbox=sandbox, clock=clock) as client:
        yield client
