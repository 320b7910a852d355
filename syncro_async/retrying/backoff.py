"""How long to wait before the next attempt when the server did not say."""

from __future__ import annotations

from syncro_async.retrying.policy import RetryPolicy


def backoff(policy: RetryPolicy, attempts: int) -> float:
    """Seconds to wait after that many attempts: exponential, with full jitter inside the cap.

    Full jitter spreads clients that failed together over the whole interval.
    """
    # Past 2**60 the cap has long decided, and floats would overflow.
    ceiling = min(policy.max_delay, policy.base_delay * 2.0 ** min(attempts - 1, 60))
    return ceiling * policy.random()
