"""`syncro doctor`: is all well with the key, the account, the clock and the budget."""

from __future__ import annotations

import asyncio
import os
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
    PermissionDeniedError,
    RateLimitedError,
    RetryPolicy,
    SyncroError,
    SystemClock,
    UnexpectedResponseError,
)
from syncro_async.cli.exits import DONE, FAILED, in_one_line
from syncro_async.events import AnswerReceived, Event

State = Literal["ok", "note", "mend"]
Outcome = object | SyncroError

ACCOUNT_SCOPE = "users:read"
# Each of them is one request; the first answer tells the account, too.
PROBES: dict[str, Callable[[AsyncClient], Awaitable[object]]] = {
    ACCOUNT_SCOPE: lambda client: client.account.get(),
    "leads:read": lambda client: client.leads.list().count(),
    "pipelines:read": lambda client: client.pipelines.list(),
    "custom_fields:read": lambda client: client.custom_fields.list(),
    "tasks:read": lambda client: client.tasks.list().count(),
    "whatsapp:read": lambda client: client.whatsapp.instances(),
    "webhooks:read": lambda client: client.webhooks.list(),
}
# No read that the reference describes needs these.
NOT_PROBED = (
    *("sequences:read", "leads:write", "sequences:write", "tasks:write", "whatsapp:write"),
    "webhooks:write",
)
_NOTHING = "nothing to do"
_REST_FIRST = "mend the rest first"
_ONE_LIMITER = "if several programs use this key, give all of them the same SYNCRO_LIMITER"
_UNASKED = SyncroError("not asked for")
# Further off than this a clock is wrong, and not only asked at another moment (s).
_TOLERATED = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `mend` what keeps calls from working, `note` what may be as it should."""

    state: State
    subject: str
    what: str
    advice: str = _NOTHING


class ClockReading:
    """An observer that compares the machine's clock with what the server's answers say (s)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ahead: float | None = None

    def __call__(self, event: Event) -> None:
        """Take one event of the client."""
        if isinstance(event, AnswerReceived) and event.server_time is not None:
            # The header has whole seconds: on average it is half a second behind.
            ahead = self._clock.wall() - (event.server_time + 0.5)
            self.ahead = ahead if self.ahead is None else min(self.ahead, ahead, key=abs)


async def probe(client: AsyncClient) -> dict[str, Outcome]:
    """What each scope's read came to, as far as it makes sense to go on asking."""
    outcomes: dict[str, Outcome] = {}
    for scope, read in PROBES.items():
        try:
            outcomes[scope] = await read(client)
        except SyncroError as error:
            outcomes[scope] = error
            if _ends_it(error):
                break
    return outcomes


def checks(
    outcomes: dict[str, Outcome],
    ahead: float | None,
    budget: Budget | ConnectionFailedError,
    *,
    shared: bool,
) -> Iterator[Finding]:
    """Every line of the report, from what was found; `shared` says that a limiter was named."""
    yield _key(outcomes)
    yield _account(outcomes)
    yield from _scopes(outcomes)
    yield _clock(ahead)
    yield _limiter(budget, shared=shared)
    if isinstance(budget, Budget):
        yield _budget(outcomes, budget)


def _ends_it(error: SyncroError) -> bool:
    """Whether every further read would come to the same."""
    if isinstance(error, UnexpectedResponseError):
        return "json" not in (error.content_type or "")  # it is not the API that answers there
    return isinstance(
        error,
        AuthenticationError
        | AccountSuspendedError
        | NoAnswerError
        | RateLimitedError
        | BudgetWaitError,
    )


def _key(outcomes: dict[str, Outcome]) -> Finding:
    if not outcomes:
        return Finding("note", "key", "cannot be told", _REST_FIRST)
    for outcome in outcomes.values():
        if isinstance(outcome, AuthenticationError):
            advice = "set SYNCRO_API_KEY to a key of your account"
            if outcome.reason == "expired":
                advice = "make a new key and set SYNCRO_API_KEY to it"
            return Finding("mend", "key", f"refused: {outcome.message}", advice)
        # Who may not do a thing, and who does too many, has shown a good key before.
        if not isinstance(outcome, SyncroError) or isinstance(
            outcome, PermissionDeniedError | RateLimitedError
        ):
            return Finding("ok", "key", "the API accepts it")
    error = next(iter(outcomes.values()))
    advice = "check SYNCRO_BASE_URL, the network and proxies, and run this again"
    return Finding("mend", "key", f"cannot be told: {error}", advice)


def _account(outcomes: dict[str, Outcome]) -> Finding:
    outcome = outcomes.get(ACCOUNT_SCOPE, _UNASKED)
    if isinstance(outcome, Account):
        what = f"{outcome.name} (id {outcome.id}, plan {outcome.plan})"
        return Finding("ok", "account", what, "see that it is the one you mean")
    if isinstance(outcome, AccountSuspendedError):
        return Finding("mend", "account", f"inactive: {outcome.message}", "ask its owner")
    if isinstance(outcome, PermissionDeniedError):
        advice = f"give the key {ACCOUNT_SCOPE}, or ask who made it"
        return Finding("note", "account", "the key may not tell", advice)
    return Finding("note", "account", "cannot be told", _REST_FIRST)


def _scopes(outcomes: dict[str, Outcome]) -> Iterator[Finding]:
    has, untold, notes = [], [], []
    for scope in PROBES:
        outcome = outcomes.get(scope, _UNASKED)
        if not isinstance(outcome, SyncroError):
            has.append(scope)
        elif outcome is _UNASKED or _ends_it(outcome):
            untold.append(scope)
        elif isinstance(outcome, PermissionDeniedError):
            missing = f"{outcome.required_permission or scope} is missing"
            notes.append(Finding("note", "scope", missing, "give it to the key if you need it"))
        else:
            told = f"{scope} cannot be told: {outcome}"
            notes.append(Finding("note", "scope", told, "run this again"))
    if has:
        yield Finding("ok", "scopes", ", ".join(has))
    yield from notes
    if untold:
        yield Finding("note", "scopes", f"cannot be told: {', '.join(untold)}", _REST_FIRST)
    advice = "a call that lacks its scope raises PermissionDeniedError, which names it"
    yield Finding("note", "scopes", f"no read can tell: {', '.join(NOT_PROBED)}", advice)


def _clock(ahead: float | None) -> Finding:
    if ahead is None:
        return Finding("note", "clock", "no answer tells the server's time", _NOTHING)
    off = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the server's"
    if abs(ahead) < 1.0:
        off = "within a second of the server's"
    if abs(ahead) <= _TOLERATED:
        return Finding("ok", "clock", off)
    advice = "set this machine's clock: updated_since and other filters taken from it would miss"
    return Finding("mend", "clock", off, advice)


def _limiter(budget: Budget | ConnectionFailedError, *, shared: bool) -> Finding:
    if isinstance(budget, ConnectionFailedError):
        return Finding("mend", "limiter", f"out of reach: {budget}", "check SYNCRO_LIMITER")
    if shared:
        return Finding("ok", "limiter", "within reach, and shared by all programs that name it")
    return Finding("note", "limiter", "none is named: each program counts alone", _ONE_LIMITER)


def _budget(outcomes: dict[str, Outcome], budget: Budget) -> Finding:
    for outcome in outcomes.values():
        if isinstance(outcome, RateLimitedError):
            what = f"the server answered 429 and asks for {outcome.retry_after:.0f} s"
            return Finding("mend", "budget", what, f"come back then; {_ONE_LIMITER}")
        if isinstance(outcome, BudgetWaitError):
            advice = f"come back in {outcome.wait_needed:.0f} s"
            return Finding("note", "budget", "other programs are spending it", advice)
    return Finding(
        "ok",
        "budget",
        f"{budget.available} of {budget.limit} calls in {budget.window:g} s are free",
    )


_OF_THE_PROCESS = "memory://"
_PATIENCE = 30.0
_TIMEOUT = 10.0
# Every read is sent once, and a 429 ends it: so many reads, so many requests, and no more.
_ONCE = RetryPolicy(attempts=1, max_elapsed=0.0)


def run_doctor(base_url: str | None, limiter: str | None) -> int:
    """Print a line for everything that was looked at; 1 when something has to be mended."""
    found = asyncio.run(_examine(base_url, limiter))
    for finding in found:
        sys.stdout.write(f"{line(finding)}\n")
    return FAILED if any(finding.state == "mend" for finding in found) else DONE


def line(finding: Finding) -> str:
    """The finding as it is printed, whatever the server wrote into it."""
    told = in_one_line(f"{finding.what} → {finding.advice}")
    return f"{finding.state:<5} {finding.subject:<8} {told}"


async def _examine(base_url: str | None, limiter: str | None) -> list[Finding]:
    reading = ClockReading(SystemClock())
    named = limiter or os.environ.get("SYNCRO_LIMITER") or _OF_THE_PROCESS
    shared = named != _OF_THE_PROCESS
    async with AsyncClient(
        base_url=base_url,
        limiter=limiter,
        max_wait=_PATIENCE,
        timeout=_TIMEOUT,
        retry=_ONCE,
        observers=(reading,),
    ) as client:
        try:
            await client.refresh_budget()
            outcomes = await probe(client)
            budget = await client.refresh_budget()
        except ConnectionFailedError as error:
            # Without the budget that other programs share, nothing is sent.
            return list(checks({}, None, error, shared=shared))
        return list(checks(outcomes, reading.ahead, budget, shared=shared))
