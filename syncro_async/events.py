"""The events that a client reports to its observers, as frozen structs.

Times are monotonic seconds of the client's clock. Paths carry no query. What concerns a call is
reported in the context (`contextvars`) of its caller, or in a copy of it, so that an observer can
keep concurrent calls apart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

import msgspec

from syncro_async._internal.known_keys import masked
from syncro_async._internal.plain_text import one_line


class _WithoutKeys(logging.Filter):
    """Masks API keys in the records: a path, a file or an error of a library may hold one."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if (hidden := masked(text)) != text:
            record.msg, record.args = hidden, ()
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
            if (hidden := masked(trace)) != trace:
                record.exc_text = hidden  # formatters take it instead of the error itself
        return True


logger = logging.getLogger("syncro_async")
logger.addFilter(_WithoutKeys())


class CallStarted(msgspec.Struct, frozen=True):
    """A call begins; all its other events come between this one and its `CallEnded`.

    Only a request whose caller was cancelled is reported afterwards.
    """

    method: str
    path: str
    base_url: str
    lane: str
    at: float


class CallEnded(msgspec.Struct, frozen=True):
    """A call returned, `seconds` after it began; `error` is the class of what it raised, if so.

    Observers get it in reverse order, so that the first to open something closes it last.
    """

    method: str
    path: str
    error: str | None
    at: float
    seconds: float


class SlotWaited(msgspec.Struct, frozen=True):
    """A call waited in the queue for budget for that many seconds.

    `again`: it waited over 5 s beside another one of its lane that was reported already. `paced`:
    it waited in the bulk lane while interactive calls paced that lane.
    """

    method: str
    path: str
    lane: str
    seconds: float
    again: bool = False
    paced: bool = False


class RequestSent(msgspec.Struct, frozen=True):
    """An attempt is about to go to the wire."""

    method: str
    path: str
    at: float


class AnswerReceived(msgspec.Struct, frozen=True):
    """The headers of an answer came, `latency` seconds after the attempt was sent.

    `server_time` is what the server's own clock showed (its header `Date`): seconds since
    1970-01-01 UTC, whole ones as a rule; None where it does not say.
    """

    method: str
    path: str
    status: int
    at: float
    latency: float
    server_time: float | None = None


class AttemptFailed(msgspec.Struct, frozen=True):
    """An attempt ended without an answer; `error` is the name of the error's class."""

    method: str
    path: str
    error: str
    at: float
    latency: float


class RetryScheduled(msgspec.Struct, frozen=True):
    """The call will be sent again in `delay` seconds; `attempt` attempts were made so far."""

    method: str
    path: str
    attempt: int
    delay: float
    reason: str


class RetryRefused(msgspec.Struct, frozen=True):
    """The call may be tried again, but the client's stock of retries is used up.

    It raises its error, or waits for the stock when it is a call of a bulk job (`waits`). `again`:
    the retry before was refused, too. `attempt` attempts were made so far.
    """

    method: str
    path: str
    attempt: int
    reason: str
    waits: bool
    again: bool = False


class ServerFailed(msgspec.Struct, frozen=True):
    """The server answered 5xx; `body` is the beginning of what it said, without secrets.

    Of a long one it is a part: then `size` is the length of the whole (bytes), which is the `body`
    of the error that the call raises in the end; else 0.
    Reported once for a call, and not again for the next ones while the same body comes.
    """

    method: str
    path: str
    status: int
    body: str
    size: int = 0


class GateClosed(msgspec.Struct, frozen=True):
    """A 429 pauses every call of the key for `seconds`.

    `again`: the key was paused already. Calls that are in flight together are refused together.
    """

    seconds: float
    at: float
    again: bool = False


class BudgetLowered(msgspec.Struct, frozen=True):
    """Somebody else uses the key: of its longest window `foreign_estimate` calls are left to them.

    Learned from a 429, here or in another process that shares the budget; reported again only when
    the estimate grows.
    """

    foreign_estimate: int
    at: float


class ItemUnreadable(msgspec.Struct, frozen=True):
    """An item of a page does not fit its model and was left out of the page's items."""

    path: str
    index: int
    reason: str


class LimitAnnounced(msgspec.Struct, frozen=True):
    """The service names another limit than the `kept` calls of the client's longest window.

    Reported once by each client. Of a smaller limit the budget learns by itself; a larger one is
    the limit of another plan, which the client has to be given (`dialect` or `rate_limit`).
    """

    announced: int
    kept: int


class ImportInDoubt(msgspec.Struct, frozen=True):
    """An import has now so many `rows` whose answers were lost and whose outcome is not known.

    Reported when the number changes, also when it is 0 again. It belongs to the import and to no
    call. `journal`: the path of the import's journal, or a name of this run when it has none.
    """

    base_url: str
    journal: str
    rows: int


class CallAbandoned(msgspec.Struct, frozen=True):
    """A call was cancelled once it had been sent; `outcome` is what became of it all the same."""

    method: str
    path: str
    outcome: str


Event = (
    CallStarted
    | CallEnded
    | SlotWaited
    | RequestSent
    | AnswerReceived
    | AttemptFailed
    | RetryScheduled
    | RetryRefused
    | GateClosed
    | BudgetLowered
    | ItemUnreadable
    | ServerFailed
    | LimitAnnounced
    | ImportInDoubt
    | CallAbandoned
)
Observer = Callable[[Event], object]


class Observers:
    """Tells the log and every observer.

    Falsy when there is no observer, so that no event is built in vain; what the log has at WARNING
    gets the event all the same.
    """

    __slots__ = ("_observers",)

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)

    def __bool__(self) -> bool:
        return bool(self._observers) or logger.isEnabledFor(logging.INFO)

    def watch(self, base_url: str, pipeline: object) -> None:
        """Give the pipeline of a new client to every observer that also reads states.

        An observer whose class has the method `watch_pipeline` is one. Events tell what happens;
        how many calls wait at a moment can only be asked.

        `base_url`: the base URL of the client. `pipeline`: what has its limiter.
        """
        for observer in self._observers:
            watch = getattr(type(observer), "watch_pipeline", None)
            if watch is not None:
                watch(observer, base_url, pipeline)

    def __call__(self, event: Event) -> None:
        """Write the event to the log and call every observer with it.

        What an observer raises is logged and goes no further, so that an observer cannot end a
        call. This includes `asyncio.CancelledError`: no `await` runs here, so it is not the
        cancellation of the caller's task.
        """
        log_event(event)
        inside_out = isinstance(event, CallEnded)
        for observer in reversed(self._observers) if inside_out else self._observers:
            try:
                observer(event)
            except (Exception, asyncio.CancelledError):
                logger.exception("an observer failed on %s", type(event).__name__)


# A wait for budget that is always reported (s).
LONG_WAIT = 5.0


def log_event(event: Event) -> None:
    """Write an `event` to the log: requests at DEBUG, what a person should know above it.

    A wait over 5 s is a WARNING, but INFO beside another that was one, and in the bulk lane,
    where waiting is the plan.
    """
    match event:
        case SlotWaited(method, path, lane, seconds, again) if seconds > LONG_WAIT:
            level = logging.INFO if again or lane == "bulk" else logging.WARNING
            line = "%s %s waited %.1f s for budget (%s lane)"
            logger.log(level, line, method, path, seconds, lane)
        case GateClosed(seconds, again=False):
            logger.warning("the server answered 429: every call of this key waits %.1f s", seconds)
        case BudgetLowered(foreign_estimate):
            logger.warning(
                "another program uses this key; calls of each window left to it from now on: %d",
                foreign_estimate,
            )
        case RetryScheduled() | RetryRefused():
            _log_retry(event)
        case ItemUnreadable() | ServerFailed():
            _log_answer(event)
        case LimitAnnounced(announced, kept):
            logger.warning(
                "the service allows this key %d calls, the client keeps to %d: give AsyncClient"
                " the dialect of your plan, or rate_limit",
                announced,
                kept,
            )
        case ImportInDoubt(_, journal, rows):
            logger.info("import %s: %d rows are in doubt", one_line(journal), rows)
        case CallAbandoned(method, path, outcome) if method != "GET":
            line = "%s %s was cancelled after it was sent: %s"
            logger.warning(line, method, path, one_line(outcome))
        case _:
            logger.debug("%s", event)


def _log_answer(event: ItemUnreadable | ServerFailed) -> None:
    if isinstance(event, ItemUnreadable):
        line = "%s: item %d of the page is unreadable: %s"
        logger.warning(line, event.path, event.index, one_line(event.reason))
        return
    line = "%s %s: the server failed with %d: %s"
    if event.size:
        line += "; the error's `body` has the whole of it"
    logger.warning(line, event.method, event.path, event.status, one_line(event.body))


def _log_retry(event: RetryScheduled | RetryRefused) -> None:
    failed = event.method, event.path, event.attempt, one_line(event.reason)
    if isinstance(event, RetryScheduled):
        logger.info("%s %s: attempt %d failed (%s), again in %.1f s", *failed, event.delay)
        return
    logger.log(
        logging.INFO if event.again else logging.WARNING,
        "%s %s: attempt %d failed (%s) and is not repeated: too many calls of this client failed,"
        " its stock of retries (RetryPolicy.quota) is used up; %s",
        *failed,
        "the bulk job waits for the server" if event.waits else "the call raises its error",
    )
