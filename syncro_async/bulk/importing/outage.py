"""Waits while the server cannot be reached, so that no row fails because of it."""

from __future__ import annotations

import logging

from syncro_async.clock import Clock
from syncro_async.errors import (
    ConnectionFailedError,
    NoAnswerError,
    ServerError,
    SyncroError,
    UnexpectedResponseError,
)

logger = logging.getLogger("syncro_async")

# How often the server is tried again (s).
_INTERVAL = 10.0


class Outage:
    """The time since which the server cannot be reached, for all calls of one job.

    `longest`: how long the job waits for it (s). It waits only for a server that has answered in
    this run: an address that was never reached is a wrong address as a rule.
    """

    def __init__(self, clock: Clock, longest: float) -> None:
        self._clock = clock
        self._longest = longest
        self._reached = False
        self._began: float | None = None

    def end(self) -> None:
        """Take note of an answer: the server can be reached."""
        self._reached = True
        self._began = None

    async def wait(self, error: SyncroError) -> bool:
        """Wait until the server is tried again; return False when the job must stop instead."""
        now = self._clock.monotonic()
        if not self._reached:
            return False
        if self._began is None:
            self._began = now
            logger.warning("the import waits for the server: %s", error)
        if now - self._began >= self._longest:
            return False
        await self._clock.sleep(_INTERVAL)
        return True


def is_unreachable(error: SyncroError) -> bool:
    """Return whether nothing was sent because there is no way to the server now."""
    return isinstance(error, ConnectionFailedError) and not error.permanent


def is_passing(error: SyncroError) -> bool:
    """Return whether a read can succeed later: no answer came, or the server failed."""
    if isinstance(error, ConnectionFailedError):
        return is_unreachable(error)
    if isinstance(error, UnexpectedResponseError):
        return False
    return isinstance(error, NoAnswerError | ServerError)
