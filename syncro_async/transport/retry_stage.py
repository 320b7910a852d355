"""Sends a call again when that may help and cannot do harm."""

from __future__ import annotations

import asyncio
from typing import Any

from syncro_async.clock import Clock
from syncro_async.errors import (
    APIError,
    BudgetWaitError,
    ConfigurationError,
    NotFoundError,
    OutcomeUnknownError,
    ProviderRateLimitedError,
    RateLimitedError,
    SyncroError,
)
from syncro_async.events import CallAbandoned, Observers, RetryScheduled
from syncro_async.retrying.verdict import (
    Trial,
    leaves_outcome_unknown,
    may_have_been_done,
    pauses_key,
    wait_before_retry,
)
from syncro_async.transport.exchange import Exchange, Reply, Stage

# What a call returns that was carried out by an attempt whose answer was lost.
_DONE = Reply(204, (), b"")


class RetryStage:
    """Follows the table of the README: again, raise, or «its outcome is unknown».

    A 429 is not an attempt: the limiter pauses the key, and the call goes to the front of the
    queue, for as long as `max_wait` and `max_elapsed` allow. That of a connected provider pauses
    this call alone.
    """

    def __init__(self, send: Stage, clock: Clock, observers: Observers) -> None:
        self._send = send
        self._clock = clock
        self._tell = observers

    async def __call__(self, exchange: Exchange[Any]) -> Reply:
        """Send until it succeeds, or raise the last error with `attempts` filled in."""
        try:
            return await self._see_through(exchange)
        except asyncio.CancelledError:
            if exchange.lost and not exchange.followed:
                # The caller went before the attempt was made up for that may have done its work.
                outcome = f"its outcome is unknown: {exchange.lost}"
                self._tell(CallAbandoned(exchange.call.method, exchange.call.path, outcome))
            raise

    async def _see_through(self, exchange: Exchange[Any]) -> Reply:
        last: SyncroError | None = None
        while True:
            try:
                return await self._send(exchange)
            except (BudgetWaitError, ConfigurationError) as error:
                # Another attempt cannot be made (the queue is too long, the client was closed):
                # what went wrong before is the news.
                raise _signed(last or error, exchange) from (last or error).__cause__
            except ProviderRateLimitedError as error:
                exchange.refused += 1
                last = error
                await self._wait(error, exchange)
            except RateLimitedError as error:
                exchange.refused += 1
                last = error
            except NotFoundError as error:
                if exchange.lost and exchange.call.gone_is_done:
                    return _DONE
                raise _signed(error, exchange) from None
            except SyncroError as error:
                last = error
                if may_have_been_done(error):
                    exchange.lost = f"{type(error).__name__}: {error.message}"
                await self._wait(error, exchange)
            exchange.came_first = pauses_key(last)
            exchange.patience = self._patience_left(exchange)

    async def _wait(self, error: SyncroError, exchange: Exchange[Any]) -> None:
        """Wait for the next attempt, holding nothing, or raise."""
        call, options = exchange.call, exchange.options
        attempts = exchange.sent - exchange.refused
        trial = Trial(
            options.retry, call.repeatable, attempts, self._elapsed(exchange), options.max_wait
        )
        wait = wait_before_retry(error, trial)
        if wait is None:
            if not call.repeatable and leaves_outcome_unknown(error):
                raise _signed(_unknown(error), exchange) from error.with_traceback(None)
            raise _signed(error, exchange) from error.__cause__
        if self._tell:
            self._tell(RetryScheduled(call.method, call.path, exchange.sent, wait, _reason(error)))
        await self._clock.sleep(wait)

    def _elapsed(self, exchange: Exchange[Any]) -> float:
        return self._clock.monotonic() - exchange.first_sent_at if exchange.sent else 0.0

    def _patience_left(self, exchange: Exchange[Any]) -> float:
        """How long the next attempt may stand in the queue: `max_elapsed` runs on meanwhile."""
        left = max(0.0, exchange.options.retry.max_elapsed - self._elapsed(exchange))
        max_wait = exchange.options.max_wait
        return left if max_wait is None else min(left, max_wait)


def _signed(error: SyncroError, exchange: Exchange[Any]) -> SyncroError:
    """The error with the call it belongs to."""
    error.method = exchange.call.method
    error.path = exchange.call.path
    error.attempts = exchange.sent
    return error


def _reason(error: SyncroError) -> str:
    """Why an attempt failed; what a failing server says is told once, as `ServerFailed`."""
    name = type(error).__name__
    if isinstance(error, APIError) and error.status >= 500:
        return f"{name}: {error.status}"
    return f"{name}: {error.message}"


def _unknown(error: SyncroError) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"the request was sent, and whether it was carried out is unknown: {error.message};"
        " look at the server before sending it again"
    )
