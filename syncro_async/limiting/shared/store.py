"""Where the shared budgets are kept: what every store can do."""

from __future__ import annotations

from typing import Protocol

from syncro_async.limiting.shared.visits import Ruling, Visit


class Store(Protocol):
    """Holds the state of many keys; every visit is atomic across processes."""

    async def attend(self, key: str, visit: Visit) -> Ruling:
        """Apply `state.attend` to the key's state on the store's own clock.

        `key` is a hash of base URL and API key. Raises `ConfigurationError` when the state was
        made with other limits and is in use, `StoreUnreachableError` when the store does not
        answer.
        """

    async def aclose(self) -> None:
        """Let go of files and connections; harmless when never opened."""


class StoreUnreachableError(Exception):
    """The store did not answer; what was decided there, if anything, is unknown."""
