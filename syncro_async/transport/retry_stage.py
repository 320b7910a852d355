"""Sends a call again when that may help and cannot do harm."""

from __future__ import annotations

import asyncio
from typing import Any

from syncro_async._internal.known_keys import mask_keys
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
from syncro_async.events import CallAbandoned, Observers, RetryRefused, RetryScheduled
from syncro_async.limiting.context import TooLateError
from syncro_async.retrying.decision import (
    RetryContext,
    draws_quota,
    leaves_outcome_unknown,
    may_have_executed,
    retry_delay,
    throttles_key,
)
from syncro_async.retrying.quota import RetryQuota
from syncro_async.transport.messages import CallState, RawResponse, Stage

# What a call returns that was carried out by an attempt whose answer was lost.
_DONE = RawResponse(204, (), b"")
# How often a call of a job that waits for retries looks whether there are any (s) …
_QUOTA_POLL = 1.0
# … and for how long altogether (s). After that its row fails, and the job's failure limit decides.
_LONGEST_QUOTA_WAIT = 3600.0


class RetryStage:
    """Follows the table of the README: again, raise, or «its outcome is unknown».

    A 429 is not an attempt: the limiter pauses the key, and the call goes to the front of the
    queue, for as long as `max_wait` and `max_elapsed` allow. That of a connected provider pauses
    this call alone. `quota` counts the retries of the client.
    """

    def __init__(self, send: Stage, quota: RetryQuota, clock: Clock, observers: Observers) -> None:
        self._send = send
        self._quota = quota
        self._clock = clock
        self._emit = observers

    async def __call__(self, exchange: CallState[Any]) -> RawResponse:
        """Send until it succeeds, or raise the last error with `attempts` filled in."""
        try:
            return await self._run_attempts(exchange)
        except asyncio.CancelledError:
            if exchange.unknown_reason and not exchange.detached:
                # The caller went before the attempt was made up for that may have done its work.
                outcome = f"its outcome is unknown: {exchange.unknown_reason}"
                self._emit(CallAbandoned(exchange.call.method, exchange.call.path, outcome))
            raise

    async def _run_attempts(self, exchange: CallState[Any]) -> RawResponse:
        last: SyncroError | None = None
        while True:
            try:
                reply = await self._send(exchange)
            except (BudgetWaitError, ConfigurationError) as error:
                self._return_retry(exchange)
                news = _news(error, last)
                raise _with_call_info(news, exchange) from news.__cause__
            except ProviderRateLimitedError as error:
                exchange.throttled += 1
                last = error
                await self._wait(error, exchange)
            except RateLimitedError as error:
                exchange.throttled += 1
                last = error
            except NotFoundError as error:
                if exchange.unknown_reason and exchange.call.not_found_is_success:
                    return _DONE
                raise _with_call_info(error, exchange) from None
            except SyncroError as error:
                last = error
                if may_have_executed(error):
                    exchange.unknown_reason = f"{type(error).__name__}: {error.message}"
                await self._wait(error, exchange)
            else:
                self._quota.put_back(exchange.options.retry, retried=exchange.retried)
                return reply
            exchange.requeued = throttles_key(last)
            exchange.queue_timeout = self._max_wait_left(exchange)

    async def _wait(self, error: SyncroError, exchange: CallState[Any]) -> None:
        """Wait for the next attempt, holding nothing, or raise."""
        call, options = exchange.call, exchange.options
        attempts = exchange.attempts - exchange.throttled
        trial = RetryContext(
            options.retry, call.idempotent, attempts, self._elapsed(exchange), options.max_wait
        )
        wait = retry_delay(error, trial)
        if wait is None:
            if not call.idempotent and leaves_outcome_unknown(error):
                raise _with_call_info(_outcome_unknown(error), exchange) from error.with_traceback(
                    None
                )
            raise _with_call_info(error, exchange) from error.__cause__
        exchange.retried = draws_quota(error)
        if exchange.retried and not self._take_retry(error, exchange):
            if not options.waits_for_quota:
                raise _with_call_info(error, exchange) from error.__cause__
            await self._wait_for_quota(error, exchange)
            return
        if self._emit:
            self._emit(
                RetryScheduled(call.method, call.path, exchange.attempts, wait, _reason(error))
            )
        exchange.waited += wait
        await self._clock.sleep(wait)

    def _take_retry(self, error: SyncroError, exchange: CallState[Any]) -> bool:
        """Take a retry out of the stock; False, and reported, when there is none."""
        quota, call, options = self._quota, exchange.call, exchange.options
        again = quota.is_refusing
        if quota.take(options.retry):
            return True
        waits, reason = options.waits_for_quota, _reason(error)
        self._emit(RetryRefused(call.method, call.path, exchange.attempts, reason, waits, again))
        return False

    def _return_retry(self, exchange: CallState[Any]) -> None:
        """Put the retry back into the stock that was taken for an attempt that cannot be made."""
        if exchange.retried:
            self._quota.put_back(exchange.options.retry, retried=True)

    async def _wait_for_quota(self, error: SyncroError, exchange: CallState[Any]) -> None:
        """Wait until the client has retries again, or until this call may look for the server."""
        policy, began = exchange.options.retry, self._clock.monotonic()
        interval = max(policy.max_delay, _QUOTA_POLL)
        if exchange.waits_since is None:
            exchange.waits_since = began
        elif began - exchange.waits_since > _LONGEST_QUOTA_WAIT:
            raise _with_call_info(error, exchange) from error.__cause__
        await self._clock.sleep(_QUOTA_POLL)
        while not self._quota.take(policy):
            if self._quota.take_probe(self._clock.monotonic(), interval):
                exchange.throttled += 1  # it is not charged
                break
            await self._clock.sleep(_QUOTA_POLL)
        waited = self._clock.monotonic() - began
        exchange.first_sent_at += waited
        exchange.waited += waited

    def _elapsed(self, exchange: CallState[Any]) -> float:
        return self._clock.monotonic() - exchange.first_sent_at if exchange.attempts else 0.0

    def _max_wait_left(self, exchange: CallState[Any]) -> float:
        """Return how long the next attempt may wait: `max_elapsed` includes the queue."""
        left = max(0.0, exchange.options.retry.max_elapsed - self._elapsed(exchange))
        max_wait = exchange.options.max_wait
        return left if max_wait is None else min(left, max_wait)


def _news(error: SyncroError, last: SyncroError | None) -> SyncroError:
    """What is raised when another attempt cannot be made: what went wrong before, if anything.

    But whoever set the moment until which a call is sent makes it anew, whatever went before.
    """
    return error if last is None or isinstance(error, TooLateError) else last


def _with_call_info(error: SyncroError, exchange: CallState[Any]) -> SyncroError:
    """The error with the call it belongs to."""
    error.method = exchange.call.method
    error.path = mask_keys(exchange.call.path)
    error.attempts = exchange.attempts
    return error


def _reason(error: SyncroError) -> str:
    """Why an attempt failed; the body of a failing server is reported once, as `ServerFailed`."""
    name = type(error).__name__
    if isinstance(error, APIError) and error.status >= 500:
        return f"{name}: {error.status}"
    return f"{name}: {error.message}"


def _outcome_unknown(error: SyncroError) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"the request was sent, and whether it was carried out is unknown: {error.message};"
        " look at the server before sending it again"
    )
