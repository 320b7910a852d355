"""How one service differs from another, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from syncro_async.errors import APIError
from syncro_async.limiting.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class Dialect:
    """A service: where it is, how it knows a key, what it allows, and how it says no.

    `environment` is the prefix of its variables (`SYNCRO` → `SYNCRO_API_KEY`, `SYNCRO_BASE_URL`,
    `SYNCRO_LIMITER`), so that one service's key never goes to another. The key travels as
    `key_header: key_scheme + key`. Answers with a status in `uncounted` take nothing from the
    budget. `pause_without_time` (s) follows a 429 that names no usable time (None: the longest
    window + 1 s), and no 429's pause is shorter than `shortest_pause` (s).
    """

    name: str
    environment: str
    base_url: str
    key_header: str
    rates: tuple[RateLimit, ...]
    key_scheme: str = ""
    uncounted: frozenset[int] = frozenset()
    pause_without_time: float | None = None
    shortest_pause: float = 0.0
    key_reasons: Mapping[str, Literal["missing", "invalid", "expired"]] = field(
        default_factory=dict
    )
    suspended: frozenset[str] = frozenset()
    codes: Mapping[str, type[APIError]] = field(default_factory=dict)

    def fallback_pause(self, rates: tuple[RateLimit, ...]) -> float:
        """The pause after a 429 that names no usable time (s)."""
        if self.pause_without_time is not None:
            return self.pause_without_time
        return max(rate.seconds for rate in rates) + 1.0
