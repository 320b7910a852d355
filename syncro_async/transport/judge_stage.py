"""Decides what an answer means: a result to go on with, or which error."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from syncro_async.clock import Clock
from syncro_async.dialects.dialect import Dialect
from syncro_async.errors import APIError, RateLimitedError, UnexpectedResponseError
from syncro_async.events import Observers, ServerFailed
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.retrying.retry_after import retry_after
from syncro_async.transport.announced_limit import AnnouncedLimit
from syncro_async.transport.api_key import ApiKey
from syncro_async.transport.envelopes import excerpt, make_error, parse_body
from syncro_async.transport.exchange import Attempt, Exchange, Reply, Send
from syncro_async.transport.masking import READ, presentable

# A text named `secret`, to its end or to where the body breaks off.
_SECRET = re.compile(rb'("secret"\s*:\s*")(?:[^"\\]|\\.)*', re.DOTALL)


class JudgeStage:
    """Lets 2xx answers pass and raises the error of any other.

    The key never gets further than this, nor does a webhook's secret into an error: where a body
    tells one, the error holds `***`. (The pool masks the headers.)
    """

    def __init__(
        self,
        send: Send,
        dialect: Dialect,
        rates: tuple[RateLimit, ...],
        *,
        key: ApiKey,
        clock: Clock,
        observers: Observers,
    ) -> None:
        self._send = send
        self._tell = observers
        self._compare_limit = AnnouncedLimit(dialect.rates, rates, observers)
        self._dialect = dialect
        self._fallback_pause = dialect.fallback_pause(rates)
        self._key = key
        self._clock = clock
        self._told: tuple[int, bytes] | None = None

    async def __call__(self, exchange: Exchange[Any], attempt: Attempt) -> Reply:
        """Send, and judge what came back."""
        reply = await self._send(exchange, attempt)
        self._compare_limit(reply)
        self._tell_of_failure(exchange, reply)
        if 200 <= reply.status < 300:
            return reply
        if reply.status >= 400:
            raise self.error_of(reply)
        raise self.unexpected(reply, _no_result(reply))

    def _tell_of_failure(self, exchange: Exchange[Any], reply: Reply) -> None:
        """Say what a failing server says, once; it is a warning, so the log has it in any case."""
        news = (reply.status, reply.content[:READ]) if reply.status >= 500 else None
        if news is not None and news != self._told and not exchange.body_told:
            exchange.body_told = True
            call, said = exchange.call, presentable(reply.content, self._key)
            self._tell(ServerFailed(call.method, call.path, reply.status, said))
        self._told = news

    def error_of(self, reply: Reply) -> APIError:
        """The `APIError` of an answer that says no."""
        body = parse_body(self._shown(reply.content))
        error = make_error(reply.status, body, self._dialect)
        error.retry_after = retry_after(reply.headers, body, self._clock.wall())
        if isinstance(error, RateLimitedError):
            asked = error.retry_after
            error.pause = self._pause(asked)
            error.retry_after = self._fallback_pause if asked is None else asked
        return error

    def unexpected(self, reply: Reply, why: str) -> UnexpectedResponseError:
        """The error of an answer under 2xx or 3xx that nothing can be made of."""
        start = excerpt(self._shown(reply.content))
        content_type = reply.header("content-type")
        came = (
            f"{content_type or 'no content type'}, beginning with {start!r}" if start else "empty"
        )
        return UnexpectedResponseError(
            f"{self._key.mask_text(why)} (the body: {came})",
            status=reply.status,
            content_type=content_type,
            excerpt=start,
        )

    def _shown(self, content: bytes) -> bytes:
        """What may be shown of a body: neither the key nor a webhook's secret."""
        return _SECRET.sub(rb"\1***", self._key.mask(content))

    def _pause(self, asked: float | None) -> float:
        # A Redis-backed server rounds down, by up to a second: one refusal in five says 0.
        pause = self._fallback_pause if asked is None else asked + 1.0
        return max(pause, self._dialect.shortest_pause)


def _no_result(reply: Reply) -> str:
    """What an answer says that is neither a result nor an error."""
    location = reply.header("location")
    if location is None:
        return "an answer without a result, which the API does not document"
    return (
        f"a redirect to {_target(location)}, which is not followed because it would take the key"
        " along; check base_url and the API key"
    )


def _target(location: str) -> str:
    """Where a redirect points, without the query."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "what is no URL"
    return f"{parts.netloc}{parts.path}"
