"""What a service allows: so many calls in so many seconds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from syncro_async._internal.checks import is_int, is_number
from syncro_async._internal.plain_text import shown
from syncro_async.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`calls` in any `seconds`, counted by the server over all users of a key.

        AsyncClient("key", rate_limit=[RateLimit(600, 60.0), RateLimit(10, 1.0)])

    `burst` (calls) caps how many may leave at once; the rest of the window's calls then follow
    evenly, `seconds / calls` apart. None: all of them may leave at once, as the server allows.

    `guard` (seconds) is added to the window before a slot returns. 0.25 covers clocks and
    scheduling; a server that counts on a second-granular store (files, memcached) can need 1.1.

    Raises `ConfigurationError` for numbers that cannot be a limit.
    """

    calls: int
    seconds: float
    burst: int | None = None
    guard: float = 0.25

    def __post_init__(self) -> None:
        if not is_int(self.calls) or self.calls < 1:
            raise ConfigurationError(
                f"RateLimit: calls={shown(self.calls)} must be a whole number ≥ 1"
            )
        if not (_finite(self.seconds) and self.seconds > 0):
            raise ConfigurationError(f"RateLimit: seconds={shown(self.seconds)} must be above 0")
        if not (_finite(self.guard) and self.guard >= 0):
            raise ConfigurationError(f"RateLimit: guard={shown(self.guard)} must be 0 or more")
        if self.burst is not None and not (is_int(self.burst) and 1 <= self.burst <= self.calls):
            raise ConfigurationError(
                f"RateLimit: burst={shown(self.burst)} must be a whole number from 1 to"
                f" {self.calls}"
            )

    @property
    def hold_seconds(self) -> float:
        """How long after its answer a slot stays taken (seconds)."""
        return self.seconds + self.guard


def as_rates(rate_limit: RateLimit | Sequence[RateLimit]) -> tuple[RateLimit, ...]:
    """One limit or several as a tuple. Raises `ConfigurationError` when there is none."""
    given: object = (rate_limit,) if isinstance(rate_limit, RateLimit) else rate_limit
    rates = tuple(given) if isinstance(given, Sequence) else ()
    if not rates or not all(isinstance(rate, RateLimit) for rate in rates):
        raise ConfigurationError("rate_limit must be a RateLimit or a non-empty sequence of them")
    return rates


def _finite(value: object) -> bool:
    return is_number(value) and abs(value) <= sys.float_info.max  # an int may be larger
