"""`syncro doctor`: checks the key, the account, the clock and the budget."""

from __future__ import annotations

import asyncio
import math
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from syncro_async import (
    Account,
    AccountSuspendedError,
    AsyncClient,
    AuthenticationError,
    Budget,
    BudgetWaitError,
    Clock,
    ConnectionFailedError,
    NoAnswerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    SyncroError,
    SystemClock,
    UnexpectedResponseError,
)
from syncro_async.cli.exits import DONE, FAILED, in_one_line
from syncro_async.cli.output import print_json, show_waits
from syncro_async.cli.session import IN_MEMORY, limiter_url
from syncro_async.events import AnswerReceived, Event

State = Literal["ok", "warn", "error"]
Outcome = object | SyncroError

ACCOUNT_SCOPE = "users:read"
# Each of them is one request; the first response has the account, too.
PROBES: dict[str, Callable[[AsyncClient], Awaitable[object]]] = {
    ACCOUNT_SCOPE: lambda client: client.account.get(),
    "leads:read": lambda client: client.leads.list().count(),
    "pipelines:read": lambda client: client.pipelines.list(),
    "custom_fields:read": lambda client: client.custom_fields.list(),
    "tasks:read": lambda client: client.tasks.list().count(),
    "whatsapp:read": lambda client: client.whatsapp.instances(),
    "webhooks:read": lambda client: client.webhooks.list(),
}
# No documented read needs these.
NOT_PROBED = (
    *("sequences:read", "leads:write", "sequences:write", "tasks:write", "whatsapp:write"),
    "webhooks:write",
)
_NOTHING = "nothing to do"
_AFTER_ERRORS = "fix the errors above first"
_SEE_BUDGET = "see the budget below"
_ONE_LIMITER = "if several programs use this key, give all of them the same SYNCRO_LIMITER"
_NOT_TRIED = SyncroError("not tried")
# A larger difference is a wrong clock and not the time between request and response (s).
_TOLERATED = 5.0
_ENOUGH = 2
_CHECK_ADDRESS = "check --base-url or SYNCRO_BASE_URL"
_WRONG_ADDRESS = f"{_CHECK_ADDRESS}: this address is not that of the API"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report: `error` prevents calls, `warn` may be intended."""

    state: State
    subject: str
    result: str
    advice: str = _NOTHING


class ClockReading:
    """An observer that compares this machine's clock with the server's `Date` (s)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ahead: float | None = None

    def __call__(self, event: Event) -> None:
        """Record an event of the client."""
        if isinstance(event, AnswerReceived) and event.server_time is not None:
            # The header has whole seconds: on average it is 0.5 s late.
            ahead = self._clock.wall() - (event.server_time + 0.5)
            self.ahead = ahead if self.ahead is None else min(self.ahead, ahead, key=abs)


async def probe(client: AsyncClient) -> dict[str, Outcome]:
    """The outcome of each scope's read, up to the first error that all would get."""
    outcomes: dict[str, Outcome] = {}
    for scope, read in PROBES.items():
        try:
            outcomes[scope] = await read(client)
        except SyncroError as error:
            outcomes[scope] = error
            if _is_final(error) or _is_down(outcomes):
                break
    return outcomes


def _is_down(outcomes: dict[str, Outcome]) -> bool:
    """Whether the first two reads failed on the server's side, as all further ones would.

    The server is down, or what answers is not the API.
    """
    return len(outcomes) == _ENOUGH and all(
        isinstance(outcome, ServerError | UnexpectedResponseError) for outcome in outcomes.values()
    )


def checks(
    outcomes: dict[str, Outcome],
    ahead: float | None,
    budget: Budget | ConnectionFailedError,
    *,
    shared: bool,
) -> Iterator[Check]:
    """Every line of the report; `shared` says whether a limiter was given."""
    yield _key(outcomes)
    yield _account(outcomes)
    yield from _scopes(outcomes)
    yield _clock(ahead)
    yield _limiter(budget, shared=shared)
    if isinstance(budget, Budget):
        yield _budget(outcomes, budget)


def _is_final(error: SyncroError) -> bool:
    """Whether every further read would get the same error."""
    if isinstance(error, UnexpectedResponseError):
        return "json" not in (error.content_type or "")  # the server is not the API
    return isinstance(
        error,
        AuthenticationError
        | AccountSuspendedError
        | NoAnswerError
        | NotFoundError  # each of these lists exists
        | RateLimitedError
        | BudgetWaitError,
    )


def _key(outcomes: dict[str, Outcome]) -> Check:
    if not outcomes:
        return Check("warn", "key", "unknown", _AFTER_ERRORS)
    for outcome in outcomes.values():
        if isinstance(outcome, AuthenticationError):
            advice = "set SYNCRO_API_KEY to a key of your account"
            if outcome.reason == "expired":
                advice = "make a new key and set SYNCRO_API_KEY to it"
            return Check("error", "key", f"refused: {outcome.message}", advice)
        # A missing permission and the rate limit are checked after the key.
        if not isinstance(outcome, SyncroError) or isinstance(
            outcome, PermissionDeniedError | RateLimitedError
        ):
            return Check("ok", "key", "the API accepts it")
    error = next(iter(outcomes.values()))
    if isinstance(error, BudgetWaitError):
        return Check("warn", "key", "not checked: no call is free", _SEE_BUDGET)
    return Check("error", "key", f"unknown: {error}", _cure_of(error))


def _is_caused_by(error: BaseException, kind: type[Exception]) -> bool:
    """Whether an error of this kind is among the causes; a library may give it as the context."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, kind):
        link = link.__cause__ or link.__context__
    return link is not None


def _cure_of(error: object) -> str:
    """What to do about an error from which the key is not known."""
    if isinstance(error, NotFoundError | UnexpectedResponseError):
        return _WRONG_ADDRESS
    if isinstance(error, ServerError):
        return "the server fails: run this again later"
    if isinstance(error, ConnectionFailedError) and _is_caused_by(
        error, ssl.SSLCertVerificationError
    ):
        return (
            f"{_CHECK_ADDRESS}; if it is right, set SSL_CERT_FILE to the certificate of the CA that"
            " signed the server's"
        )
    if isinstance(error, ConnectionFailedError) and _is_caused_by(error, ssl.SSLError):
        return f"{_CHECK_ADDRESS}: its port, and whether it begins with https:// or http://"
    return f"{_CHECK_ADDRESS}, the network and proxies, and run this again"


def _advice_for_unknown(outcomes: dict[str, Outcome]) -> str:
    spent = any(isinstance(outcome, BudgetWaitError) for outcome in outcomes.values())
    return _SEE_BUDGET if spent else _AFTER_ERRORS


def _account(outcomes: dict[str, Outcome]) -> Check:
    outcome = outcomes.get(ACCOUNT_SCOPE, _NOT_TRIED)
    if isinstance(outcome, Account):
        what = f"{outcome.name} (id {outcome.id}, plan {outcome.plan})"
        return Check("ok", "account", what, "check that this is the intended account")
    if isinstance(outcome, AccountSuspendedError):
        return Check(
            "error", "account", f"inactive: {outcome.message}", "ask the owner of the account"
        )
    if isinstance(outcome, PermissionDeniedError):
        advice = f"give the key the scope {ACCOUNT_SCOPE}, or ask the person who created it"
        return Check("warn", "account", "not readable with this key", advice)
    return Check("warn", "account", "unknown", _advice_for_unknown(outcomes))


def _scopes(outcomes: dict[str, Outcome]) -> Iterator[Check]:
    granted, unknown, warnings = [], [], []
    down = _is_down(outcomes)
    for scope in PROBES:
        outcome = outcomes.get(scope, _NOT_TRIED)
        if not isinstance(outcome, SyncroError):
            granted.append(scope)
        elif outcome is _NOT_TRIED or _is_final(outcome) or down:
            unknown.append(scope)
        elif isinstance(outcome, PermissionDeniedError) and scope == ACCOUNT_SCOPE:
            continue  # the line of the account says it
        elif isinstance(outcome, PermissionDeniedError):
            missing = f"{outcome.required_permission or scope} is missing"
            warnings.append(Check("warn", "scope", missing, "give it to the key if you need it"))
        else:
            failed = f"{scope} unknown: {outcome}"
            warnings.append(Check("warn", "scope", failed, "run this again"))
    if granted:
        yield Check("ok", "scopes", ", ".join(granted))
    yield from warnings
    if unknown:
        advice = _advice_for_unknown(outcomes)
        yield Check("warn", "scopes", f"unknown: {', '.join(unknown)}", advice)
    advice = "a call without its scope raises PermissionDeniedError with the name of the scope"
    yield Check("warn", "scopes", f"not tested by reads: {', '.join(NOT_PROBED)}", advice)


def _clock(ahead: float | None) -> Check:
    if ahead is None:
        return Check("warn", "clock", "no response has the server's time", _NOTHING)
    off = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the server's"
    if abs(ahead) < 1.0:
        off = "within a second of the server's"
    if abs(ahead) <= _TOLERATED:
        return Check("ok", "clock", off)
    advice = "set this machine's clock: filters such as updated_since miss leads otherwise"
    return Check("error", "clock", off, advice)


def _limiter(budget: Budget | ConnectionFailedError, *, shared: bool) -> Check:
    if isinstance(budget, ConnectionFailedError):
        return Check(
            "error", "limiter", f"not reachable: {budget}", "check --limiter or SYNCRO_LIMITER"
        )
    if shared:
        return Check("ok", "limiter", "reachable, and shared by all programs that use it")
    return Check("warn", "limiter", "memory:// is given: each program counts alone", _ONE_LIMITER)


def _budget(outcomes: dict[str, Outcome], budget: Budget) -> Check:
    for outcome in outcomes.values():
        if isinstance(outcome, RateLimitedError):
            what = f"the server answered 429 and asks for {outcome.retry_after:.0f} s"
            return Check("error", "budget", what, f"try again then; {_ONE_LIMITER}")
        if isinstance(outcome, BudgetWaitError):
            what = f"all {budget.limit} calls in {budget.window:g} s are used, by other programs"
            advice = f"run this again in {math.ceil(outcome.wait_needed)} s"
            return Check("warn", "budget", what, advice)
    return Check(
        "ok",
        "budget",
        f"{budget.available} of {budget.limit} calls in {budget.window:g} s are free",
    )


_MAX_WAIT = 30.0
_TIMEOUT = 10.0
# No retries: the number of requests is at most the number of reads.
_ONCE = RetryPolicy(attempts=1, max_elapsed=0.0)


def run_doctor(base_url: str | None, limiter: str | None, *, as_json: bool = False) -> int:
    """Print a line for each check; returns 1 when one of them is an error."""
    return _print(asyncio.run(_examine(base_url, limiter)), as_json=as_json)


def _print(results: list[Check], *, as_json: bool) -> int:
    failed = any(check.state == "error" for check in results)
    if as_json:
        print_json({"ok": not failed, "checks": results})
    else:
        sys.stdout.writelines(f"{line(check)}\n" for check in results)
    return FAILED if failed else DONE


def line(check: Check) -> str:
    """The printed form of a check, safe against control characters from the server."""
    text = in_one_line(f"{check.result} → {check.advice}")
    return f"{check.state:<5} {check.subject:<8} {text}"


async def _examine(base_url: str | None, limiter: str | None) -> list[Check]:
    reading = ClockReading(SystemClock())
    chosen = limiter_url(limiter)
    shared = chosen != IN_MEMORY
    async with AsyncClient(
        base_url=base_url,
        limiter=chosen,
        max_wait=_MAX_WAIT,
        timeout=_TIMEOUT,
        retry=_ONCE,
        observers=(reading,),
    ) as client:
        try:
            await client.refresh_budget()
            async with show_waits(client):
                outcomes = await probe(client)
            budget = await client.refresh_budget()
        except ConnectionFailedError as error:
            # The client sends nothing while the shared budget is not reachable.
            return list(checks({}, None, error, shared=shared))
        return list(checks(outcomes, reading.ahead, budget, shared=shared))
