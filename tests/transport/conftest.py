"""Runs a test over each of the HTTP libraries."""

from __future__ import annotations

import pytest

from syncro_async.transport.http_engine import NAMES


@pytest.fixture(params=NAMES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the library that clients use where no transport is given."""
    name: str = request.param
    monkeypatch.setenv("SYNCRO_ENGINE", name)
    return name
