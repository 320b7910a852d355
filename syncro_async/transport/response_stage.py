"""Decides what an answer means: a result to go on with, or which error."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from syncro_async._internal.plain_text import LONGEST, LONGEST_NAME, shorten
from syncro_async.clock import Clock
from syncro_async.dialects.dialect import Dialect
from syncro_async.errors import APIError, RateLimitedError, UnexpectedResponseError
from syncro_async.events import LimitAnnounced, Observers, ServerFailed
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.models.raw_result import Headers
from syncro_async.retrying.retry_after import retry_after
from syncro_async.transport.body_limits import ERROR_CAP
from syncro_async.transport.error_parsing import excerpt, make_error, parse_body, text_of
from syncro_async.transport.messages import Attempt, CallState, RawResponse, Send
from syncro_async.transport.redaction import (
    READ,
    ApiKey,
    mask_secrets,
    mask_secrets_in_text,
    redact_body,
)

_REQUEST_TIMEOUT = 408
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
        self._emit = observers
        self._announced = False

    def __call__(self, reply: RawResponse) -> None:
        """Look at the answer's headers."""
        text = reply.header("x-ratelimit-limit") or ""
        if self._announced or not _WHOLE.fullmatch(text) or int(text) in self._known:
            return
        if int(text) < self._longest or not self._chosen:
            self._announced = True
            self._emit(LimitAnnounced(int(text), self._longest))


class ResponseStage:
    """Lets 2xx answers pass and raises the error of any other.

    The key never gets further than this, nor does a webhook's secret into an error: where a body
    tells one, the error holds `***`. (The engine masks the headers.)
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
        self._emit = observers
        self._compare_limit = AnnouncedLimit(dialect.rates, rates, observers)
        self._dialect = dialect
        self._fallback_pause = dialect.fallback_pause(rates)
        self._key = key
        self._clock = clock
        self._body_logged: tuple[int, int] | None = None

    async def __call__(self, exchange: CallState[Any], attempt: Attempt) -> RawResponse:
        """Send the request, and raise an error for a status of 400 and above."""
        reply = await self._send(exchange, attempt)
        self._compare_limit(reply)
        self._log_failure(exchange, reply)
        if 200 <= reply.status < 300:
            return reply
        if reply.status >= 400:
            error = self.to_api_error(reply)
            # A 408 that comes while the body is still being sent: the server has a part of it only.
            if reply.status == _REQUEST_TIMEOUT and attempt.body_sent is False:
                error.not_processed = True
            raise error
        raise self.to_unexpected(reply, _no_result(reply))

    def _log_failure(self, exchange: CallState[Any], reply: RawResponse) -> None:
        """Say what a failing server says, once; it is a warning, so the log has it in any case."""
        # Of the body a number only: it may hold the key.
        news = (reply.status, hash(reply.content[:READ])) if reply.status >= 500 else None
        if news is not None and news != self._body_logged and not exchange.body_logged:
            exchange.body_logged = True
            call, said = exchange.call, redact_body(reply.content, self._key)
            size = len(reply.content) if len(reply.content) > LONGEST else 0
            self._emit(ServerFailed(call.method, call.path, reply.status, said, size))
        self._body_logged = news

    def to_api_error(self, reply: RawResponse) -> APIError:
        """The `APIError` of an answer that says no."""
        content = reply.content[:ERROR_CAP]  # one under 2xx may be longer
        body = self._masked(parse_body(content), content)
        error = make_error(reply.status, body, self._dialect)
        error.headers = Headers(self._key.mask_values(reply.headers))
        error.retry_after = retry_after(reply.headers, body, self._clock.wall())
        error.not_processed = error.code in self._dialect.not_processed
        if isinstance(error, RateLimitedError):
            asked = error.retry_after
            error.pause = self._pause(asked)
            error.retry_after = self._fallback_pause if asked is None else asked
        return error

    def to_unexpected(self, reply: RawResponse, why: str) -> UnexpectedResponseError:
        """The error of an answer under 2xx or 3xx that nothing can be made of."""
        mask = self._key.mask_text
        start = excerpt(mask_secrets_in_text(mask(text_of(reply.content))))
        content_type = reply.header("content-type")
        if content_type is not None:
            content_type = shorten(mask(content_type), LONGEST_NAME)
        came = (
            f"{content_type or 'no content type'}, beginning with {start!r}" if start else "empty"
        )
        error = UnexpectedResponseError(
            f"{mask(shorten(why))} (the body: {came})",
            status=reply.status,
            content_type=content_type,
            excerpt=start,
        )
        error.headers = Headers(self._key.mask_values(reply.headers))
        return error

    def _masked(self, body: Any, content: bytes) -> Any:
        """What may be shown of a body: neither the key nor a webhook's secret."""
        if isinstance(body, bytes):
            text = self._key.mask(body).decode("latin-1")
            return mask_secrets_in_text(text).encode("latin-1")
        # Every spelling inside the decoded body is one in its bytes too.
        return mask_secrets(self._key.mask_values(body) if self._key.is_in(content) else body)

    def _pause(self, asked: float | None) -> float:
        # A Redis-backed server rounds down, by up to a second: one refusal in five says 0.
        pause = self._fallback_pause if asked is None else asked + 1.0
        return max(pause, self._dialect.min_retry_after)


def _no_result(reply: RawResponse) -> str:
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
