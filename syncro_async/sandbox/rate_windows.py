"""The three usual kinds of rate limit windows of a server: fixed, aligned, sliding."""

from __future__ import annotations

from collections import deque
from math import ceil, floor
from typing import Literal, Protocol

WindowKind = Literal["fixed", "aligned", "sliding"]


class Window(Protocol):
    """The request counter of one key."""

    def arrive(self, now: float) -> int | None:
        """Count a request at time `now` (s), or return the seconds of its Retry-After."""


class FixedWindow:
    """A window that the first counted request opens.

    `limit`: the number of requests. `length`: the duration in seconds. Retry-After is computed
    from whole seconds, as Laravel's limiter on a cache does: it may be up to a second too short,
    and is then often 0.
    """

    def __init__(self, limit: int, length: float) -> None:
        self._limit = limit
        self._length = length
        self._ends = float("-inf")
        self._count = 0

    def arrive(self, now: float) -> int | None:
        """Count a request, or return the whole seconds until the window ends."""
        if now >= self._ends:
            self._ends = now + self._length
            self._count = 0
        if self._count >= self._limit:
            return max(0, floor(self._ends) - floor(now))
        self._count += 1
        return None


class AlignedWindow:
    """A window that starts at every whole multiple of its length.

    `limit`: the number of requests. `length`: the duration in seconds.
    """

    def __init__(self, limit: int, length: float) -> None:
        self._limit = limit
        self._length = length
        self._number = -1
        self._count = 0

    def arrive(self, now: float) -> int | None:
        """Count a request, or return the seconds until the next multiple."""
        number = floor(now / self._length)
        if number != self._number:
            self._number = number
            self._count = 0
        if self._count >= self._limit:
            return max(1, ceil((number + 1) * self._length - now))
        self._count += 1
        return None


class SlidingWindow:
    """A log of the counted requests within the last `length` seconds.

    `limit`: the number of requests. `length`: the duration in seconds.
    """

    def __init__(self, limit: int, length: float) -> None:
        self._limit = limit
        self._length = length
        self._log: deque[float] = deque()

    def arrive(self, now: float) -> int | None:
        """Count a request, or return the seconds until the oldest one leaves the log."""
        while self._log and self._log[0] + self._length <= now:
            self._log.popleft()
        if len(self._log) >= self._limit:
            return max(1, ceil(self._log[0] + self._length - now))
        self._log.append(now)
        return None


_KINDS: dict[str, type[FixedWindow | AlignedWindow | SlidingWindow]] = {
    "fixed": FixedWindow,
    "aligned": AlignedWindow,
    "sliding": SlidingWindow,
}


def make_window(kind: WindowKind, limit: int, length: float) -> Window:
    """A window of `length` seconds that allows `limit` requests. Raises `ValueError`."""
    if kind not in _KINDS:
        raise ValueError(f"window={kind!r} must be one of {', '.join(_KINDS)}")
    if limit < 1:
        raise ValueError(f"per_minute={limit} must be 1 or more")
    if not length > 0:
        raise ValueError(f"minute={length} must be more than 0 seconds")
    return _KINDS[kind](limit, length)
