"""How stubborn a call is: the numbers a caller may choose."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from syncro_async._internal.checks import is_int, is_number
from syncro_async._internal.plain_text import shown
from syncro_async.errors import ConfigurationError


def backoff(policy: RetryPolicy, attempts: int) -> float:
    """Seconds to wait after that many attempts: exponential, with full jitter inside the cap.

    Full jitter spreads clients that failed together over the whole interval.
    """
    # Past 2**60 the cap has long decided, and floats would overflow.
    ceiling = min(policy.max_delay, policy.base_delay * 2.0 ** min(attempts - 1, 60))
    return ceiling * policy.random()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, how fast and how long a call is tried again.

        AsyncClient("key", retry=RetryPolicy(attempts=2, max_elapsed=30.0))

    A call is sent at most `attempts` times (429s do not count). Between two attempts it waits a
    random time up to `base_delay · 2ⁿ`, at most `max_delay` (s). No attempt begins that would end
    its waiting more than `max_elapsed` seconds after the call was first sent.
    `RetryPolicy(attempts=1)` never tries again.

    All calls of a client share a stock of `quota` retries. A retry after a 5xx or without an answer
    takes `quota_cost` out of it. A call that succeeds after such a retry puts that back, one that
    succeeds at once `quota_refill`. When the stock is used up, a call is not tried again and raises
    its own error at once; a call of a bulk job waits. So a server that is down gets about one
    request a call. An answer that the API itself wrote (4xx, a 502 of a connected provider) takes
    nothing. `quota=None`: retries are not counted.

    `random` gives numbers in [0, 1) and is there for tests that want the same delays every time.
    Raises `ConfigurationError` for numbers that make no sense.
    """

    attempts: int = 4
    base_delay: float = 0.5
    max_delay: float = 30.0
    max_elapsed: float = 300.0
    quota: float | None = 50
    quota_cost: float = 1.0
    quota_refill: float = 0.2
    random: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if not (is_int(self.attempts) and self.attempts >= 1):
            raise ConfigurationError(
                f"RetryPolicy: attempts={shown(self.attempts)} must be a whole number, 1 or more"
            )
        names = ["base_delay", "max_delay", "max_elapsed", "quota_refill"]
        for name in names if self.quota is None else [*names, "quota"]:
            value = getattr(self, name)
            if not (is_number(value) and value >= 0):  # which NaN is not either
                raise ConfigurationError(f"RetryPolicy: {name}={shown(value)} must be 0 or more")
        if not (is_number(self.quota_cost) and self.quota_cost > 0):
            raise ConfigurationError(
                f"RetryPolicy: quota_cost={shown(self.quota_cost)} must be above 0"
            )
