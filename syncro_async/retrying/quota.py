"""The stock of retries of one client: a server that is down is not asked four times by each call.

The model is the retry quota of botocore's standard mode. A retry takes `quota_cost` out of the
stock. A call that succeeds puts back what its last retry took, or `quota_refill` when it needed no
retry. `RetryPolicy` has these values. Only failures count that may come from a server that is down:
`draws_quota` in `decision` says which.
"""

from __future__ import annotations

from syncro_async.retrying.policy import RetryPolicy


class RetryQuota:
    """What the calls of one client have taken out of the stock and not put back.

    Calls with another policy share it: each compares it with the `quota` of its own policy.
    """

    __slots__ = ("_next_probe_at", "_taken", "is_refusing")

    def __init__(self) -> None:
        self._taken = 0.0
        self._next_probe_at = 0.0
        self.is_refusing = False  # whether the last retry was refused

    def left(self, policy: RetryPolicy) -> int | None:
        """How many retries are in stock; None when the policy has no quota."""
        if policy.quota is None:
            return None
        return max(0, int((policy.quota - self._taken) / policy.quota_cost + 1e-9))

    def take(self, policy: RetryPolicy) -> bool:
        """Take a retry out of the stock; False when there is none."""
        self.is_refusing = self.left(policy) == 0
        if not self.is_refusing:
            self._taken += policy.quota_cost
        return not self.is_refusing

    def put_back(self, policy: RetryPolicy, *, retried: bool) -> None:
        """A call succeeded. `retried`: its last attempt was a retry that counted."""
        more = policy.quota_cost if retried else policy.quota_refill
        self._taken = max(0.0, self._taken - more)

    def take_probe(self, now: float, interval: float) -> bool:
        """Whether a call that waits for the stock may be sent to see whether the server is back.

        One call of the client may, once in `interval` seconds.
        """
        if now < self._next_probe_at:
            return False
        self._next_probe_at = now + interval
        return True
