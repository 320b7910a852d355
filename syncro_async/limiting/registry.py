"""Finds the one limiter that this process keeps for a key."""

from __future__ import annotations

import hashlib
import threading
import weakref

from syncro_async._internal.forks import register_for_fork
from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Limiter
from syncro_async.limiting.rate_limit import RateLimit

_Identity = tuple[str, str, Clock]

# A client holds its limiter. It can be found here as long as a client holds it …
_known: weakref.WeakValueDictionary[_Identity, InProcessLimiter] = weakref.WeakValueDictionary()
_MANY = 64


class _Draining:
    """… and held here when its last user has gone but its slots are not free yet.

    `add` is what a finalizer calls: at any moment, in any thread, whatever locks that one holds.
    So it takes no lock, and the next call of `in_process_limiter` removes the idle ones.
    """

    def __init__(self) -> None:
        self._limiters: set[InProcessLimiter] = set()
        self.add = self._limiters.add
        self._many = _MANY
        self.reset_after_fork()
        register_for_fork(self)

    def reset_after_fork(self) -> None:
        """A forked child has a lock and budgets of its own; the parent's may be in use for ever."""
        self.lock = threading.Lock()
        for limiter in list(_known.values()):
            limiter.reset_after_fork()

    def forget_idle(self) -> None:
        """Let those go whose slots are free; cheap, however many there are and stay."""
        if len(self._limiters) < self._many:
            return
        for limiter in self._limiters.copy():
            # In this order, or one that is used and left again meanwhile would be lost.
            self._limiters.discard(limiter)
            if limiter.is_paced() or not limiter.is_idle():
                self._limiters.add(limiter)
        # Looking only when there are twice as many keeps the cost of 10,000 keys linear.
        self._many = max(_MANY, 2 * len(self._limiters))


_draining = _Draining()


def key_hash(api_key: str) -> str:
    """The hash that is shown and stored in place of the key."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:32]


def in_process_limiter(
    base_url: str, api_key: str, rates: tuple[RateLimit, ...], clock: Clock
) -> InProcessLimiter:
    """The limiter of that key at that service: one for all clients of this process.

    It outlives its clients until its last slot is free. Raises `ConfigurationError` when it is
    in use with other rates: two rates for one budget would mean no budget at all.
    """
    identity = (base_url, key_hash(api_key), clock)
    with _draining.lock:
        _draining.forget_idle()
        limiter = _known.get(identity)
        if limiter is None:
            limiter = _known[identity] = InProcessLimiter(rates, clock)
        elif not limiter.adopt(rates):
            raise ConfigurationError(
                "another client of this process uses the same key and base URL with other rates:"
                f" {limiter.rates}; give this one the same rate_limit, or wait until its slots"
                " are free"
            )
        return limiter


def keep_alive_for(user: object, limiter: Limiter) -> None:
    """See to it that a limiter of ours outlives `user` until its last slot is free."""
    if isinstance(limiter, InProcessLimiter):
        weakref.finalize(user, _draining.add, limiter).atexit = False
