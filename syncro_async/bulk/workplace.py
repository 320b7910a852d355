"""What a job over many leads needs of the client, besides its calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from syncro_async.clock import Clock
from syncro_async.limiting.limiter import Budget
from syncro_async.limiting.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class Workplace:
    """The clock, the budget as it stands, the rates behind it, and which account this is.

    `account` tells accounts apart and shows no key.
    """

    clock: Clock
    budget: Callable[[], Budget]
    rates: Sequence[RateLimit]
    account: str
