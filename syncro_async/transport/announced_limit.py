"""Notices when a service announces another limit than the one that is kept."""

from __future__ import annotations

import re

from syncro_async.events import LimitAnnounced, Observers
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.transport.exchange import Reply

_WHOLE = re.compile(r"[0-9]{1,9}")


class AnnouncedLimit:
    """Reads `X-RateLimit-Limit` and tells the first value that contradicts the rates, once.

    Somebody who chose rates of their own below the service's meant to.
    """

    def __init__(
        self, standard: tuple[RateLimit, ...], kept: tuple[RateLimit, ...], observers: Observers
    ) -> None:
        self._known = {rate.calls for rate in kept}
        self._longest = max(kept, key=lambda rate: rate.seconds).calls
        self._chosen = kept != standard
        self._tell = observers
        self._told = False

    def __call__(self, reply: Reply) -> None:
        """Look at the answer's headers."""
        text = reply.header("x-ratelimit-limit") or ""
        if self._told or not _WHOLE.fullmatch(text) or int(text) in self._known:
            return
        if int(text) < self._longest or not self._chosen:
            self._told = True
            self._tell(LimitAnnounced(int(text), self._longest))
