"""Everything this package raises.

    SyncroError
    ├── ConfigurationError (also ValueError)
    │   └── MissingResourceError (also AttributeError)
    ├── InvalidArgumentError (also ValueError)
    │   └── UnknownArgumentError (also TypeError)
    ├── BadRowsError (also ValueError)
    ├── ImportStoppedError
    ├── BudgetWaitError
    ├── NoAnswerError
    │   ├── ConnectionFailedError
    │   ├── RequestTimeoutError (also TimeoutError)
    │   ├── OutcomeUnknownError
    │   └── UnexpectedResponseError
    └── APIError
        ├── BadRequestError 400
        ├── AuthenticationError 401
        ├── PermissionDeniedError 403
        │   ├── AccountSuspendedError
        │   └── ReauthenticationRequiredError
        ├── NotFoundError 404
        ├── ConflictError 409
        ├── UnprocessableError 422
        │   ├── ValidationError (400 or 422)
        │   ├── StageBlockedError
        │   ├── PlanLimitError
        │   └── MessagingWindowClosedError
        ├── RateLimitedError 429
        │   └── ProviderRateLimitedError
        └── ServerError 5xx
            ├── ProviderError 502
            │   └── ProviderAuthenticationError
            └── ServiceUnavailableError 503
                └── CircuitOpenError

Every one of them can be pickled, and none holds the API key.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async._internal.error_text import first_few, format_error, format_groups, format_wait
from syncro_async._internal.known_keys import mask_keys, masked
from syncro_async._internal.plain_text import LONGEST_NAME, one_line, shorten
from syncro_async._internal.tracebacks import short_traceback
from syncro_async.models.raw_result import Headers
from syncro_async.models.receipts import FailureGroup, ImportSummary, RowProblem, group_problems


def without_keys(text: str) -> str:
    """The text with `***` in the place of API keys, for a program that prints what it was given.

    These are the keys of the clients that this process has made, those in the variables of the
    environment that clients read (`SYNCRO_API_KEY`), and what looks like a key. Users and passwords
    of URLs are masked too. The messages of the errors here need none of it.

    - `text`: the text
    """
    return masked(text)


class PendingTask(NamedTuple):
    """A mandatory task that keeps a lead in its stage (API reference, 'Leads')."""

    id: int | None
    subject: str | None
    type: str | None


class SyncroError(Exception):
    """The parent of every error of this package.

    `method` and `path` say which call it was (the path without its query), `attempts` how often
    it was sent; they are None and 0 for what happened outside a call. `message` is the bare
    message: what the server said, or what we have to say; `str(error)` adds the rest, on one line.
    `headers` are those of the answer, and empty where there was none. `parts` is the message with
    the arguments of a call that it names apart, for a program that has other words for them; it is
    empty where the message names none in this way.
    """

    headers: Headers = Headers()
    method: str | None = None
    path: str | None = None
    attempts: int = 0
    advice: str | None = None
    parts: tuple[str | Argument, ...] = ()
    # What a server says is masked where it is read, with the key of the call.
    _of_server = False

    def __init__(
        self, message: str, *, method: str | None = None, path: str | None = None, attempts: int = 0
    ) -> None:
        if not self._of_server:
            message = (
                message.changed(masked) if isinstance(message, ArgumentText) else masked(message)
            )
        if isinstance(message, ArgumentText):
            self.parts, message = message.parts, str(message)
        super().__init__(message)
        self.message = message
        self.method = method
        self.path = None if path is None else mask_keys(path)
        self.attempts = attempts

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the constructor, whose arguments the state already holds.
        return type(self).__new__, (type(self), *self.args), {**vars(self), "args": self.args}

    def _render_traceback_(self) -> list[str]:
        """The traceback that IPython shows: only the caller's frames."""
        return short_traceback(self)

    def __str__(self) -> str:
        """`GET /leads/7 → 503: Down. [asks to wait 9 s] (2 attempts)`, as far as it is known."""
        call = f"{self.method} {self.path}" if self.method else ""
        said = format_error(call, self._verdict(), self.message, self._detail(), self.attempts)
        return one_line(f"{said} (advice: {self.advice})" if self.advice else said)

    def _verdict(self) -> str:
        """The part between the call and the message."""
        return ""

    def _detail(self) -> str:
        """The one thing to know beside the message; the attributes have it whole."""
        return ""


class ConfigurationError(SyncroError, ValueError):
    """The client was made or used in a way that cannot work; the message says what to change."""


class MissingResourceError(ConfigurationError, AttributeError):
    """The service of this client does not have this group of calls, as its dialect says."""


class InvalidArgumentError(SyncroError, ValueError):
    """An argument of a call cannot be used as it is; nothing was sent.

    The message names the argument, its value, and what is allowed. `argument` is the name alone:
    `tags[1]` is the second of the tags.
    """

    def __init__(self, message: str, *, argument: str) -> None:
        super().__init__(message)
        self.argument = masked(argument)


class UnknownArgumentError(InvalidArgumentError, TypeError):
    """A call was given a keyword argument that it does not have; the message names similar ones."""


class BadRowsError(SyncroError, ValueError):
    """Rows of an import cannot be sent as they are, so none was.

    `problems` holds every one of them in the order of the lines, `groups` the same by reason.
    `file` is the path of the file with these rows and what is wrong with them, None for no file.
    """

    def __init__(
        self, message: str, *, problems: tuple[RowProblem, ...], file: str | None = None
    ) -> None:
        super().__init__(message)
        self.problems = problems
        self.file = file

    @property
    def groups(self) -> tuple[FailureGroup, ...]:
        """The problems that are alike together, the most frequent first."""
        return group_problems(self.problems)

    def __str__(self) -> str:
        return one_line(masked(f"{self.message}: {format_groups(self.groups)}"))


class ImportStoppedError(SyncroError):
    """An import ended before its last row; what was not sent can be sent by another run.

    `summary` says what became of the rows so far, `summary.reasons` why rows failed. The cause
    (`__cause__`) is the error that ended it, where it was a single one.
    """

    def __init__(self, message: str, *, summary: ImportSummary) -> None:
        super().__init__(message)
        self.summary = summary


class BudgetWaitError(SyncroError):
    """The wait for a place in the budget would be longer than `max_wait`.

    Raised at once and with nothing sent, so the call may be repeated later. `wait_needed` is the
    estimated wait in seconds, the whole queue ahead counted.
    """

    def __init__(self, message: str, *, wait_needed: float, **call: Any) -> None:
        super().__init__(message, **call)
        self.wait_needed = wait_needed


class NoAnswerError(SyncroError):
    """No usable answer came: the connection broke, or what came cannot be understood."""


class ConnectionFailedError(NoAnswerError):
    """Nothing reached the server: no address, no connection, no TLS, no way through the proxy.

    `permanent` where another attempt cannot help: an invalid certificate, a proxy that wants a
    password, an address with an unknown protocol. `of_limiter` where the store of the limiter
    cannot be reached, not the service; nothing was sent then.
    """

    of_limiter: bool = False

    def __init__(
        self, message: str, *, permanent: bool = False, of_limiter: bool = False, **call: Any
    ) -> None:
        super().__init__(message, **call)
        self.permanent = permanent
        self.of_limiter = of_limiter


class RequestTimeoutError(NoAnswerError, TimeoutError):
    """The answer did not come within `timeout` seconds, on the last attempt that was allowed."""


class OutcomeUnknownError(NoAnswerError):
    """A write was sent and its answer never came: it may or may not have been carried out.

    It is never sent again by the client. Look at the server (for instance with `leads.list(q=…)`)
    before repeating it. The cause (`__cause__`) says what went wrong.
    """


class UnexpectedResponseError(NoAnswerError):
    """A 2xx or 3xx answer that is not what the API documents: HTML, a redirect, broken JSON.

    `status`, `content_type` and `excerpt` (the first 200 characters of the body) say what came.
    """

    def __init__(
        self, message: str, *, status: int, content_type: str | None, excerpt: str, **call: Any
    ) -> None:
        super().__init__(message, **call)
        self.status = status
        self.content_type = content_type
        self.excerpt = excerpt

    def _verdict(self) -> str:
        return f"→ {self.status}"


class APIError(SyncroError):
    """The server answered with an error: a 4xx, a 5xx, or `success: false` under a 2xx.

    `status` is the HTTP status, `code` the machine-readable code where the service has one,
    `message` the server's own words, the first 500 characters of them and on one line, `body` the
    decoded body, whole (bytes when it is not JSON or would take too much memory; of one over 4 MB
    its beginning),
    `retry_after` the seconds the server asked to wait, or None, `advice` what its reference says.
    `not_processed` is True where the answer proves that the request was not processed: then also
    a call that must not be repeated is sent again.
    """

    not_processed: bool = False
    _of_server = True

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        body: Any = None,
        retry_after: float | None = None,
        advice: str | None = None,
        **call: Any,
    ) -> None:
        super().__init__(message, **call)
        self.status = status
        self.code = code
        self.body = body
        self.retry_after = retry_after
        self.advice = advice

    def _verdict(self) -> str:
        return f"→ {self.status} {self.code}" if self.code else f"→ {self.status}"


class BadRequestError(APIError):
    """400: the request is malformed."""


class AuthenticationError(APIError):
    """401: the API key is missing, invalid or expired, which `reason` tells where it is known."""

    def __init__(
        self,
        message: str,
        *,
        reason: Literal["missing", "invalid", "expired"] | None = None,
        **answer: Any,
    ) -> None:
        super().__init__(message, **answer)
        self.reason = reason


class PermissionDeniedError(APIError):
    """403: the key may not do this; `required_permission` is the scope it lacks, where known."""

    def __init__(
        self, message: str, *, required_permission: str | None = None, **answer: Any
    ) -> None:
        super().__init__(message, **answer)
        self.required_permission = required_permission

    def _detail(self) -> str:
        return f"needs {self.required_permission}" if self.required_permission else ""


class AccountSuspendedError(PermissionDeniedError):
    """403: the whole account is inactive."""


class ReauthenticationRequiredError(PermissionDeniedError):
    """403: a person has to reconnect the provider; repeating the call cannot help."""


class NotFoundError(APIError):
    """404: there is no such thing, or not in this account."""


class ConflictError(APIError):
    """409: it exists already, or its state forbids the change."""


class UnprocessableError(APIError):
    """422: understood and refused."""


class ValidationError(UnprocessableError):
    """400 or 422: fields are missing or wrong. `errors` maps each field to its messages.

    Of very many fields it has the first 1,000, of very many messages the first 100, and of a long
    message the first 500 characters; `body` has all of it.
    """

    def __init__(
        self, message: str, *, errors: dict[str, list[str]] | None = None, **answer: Any
    ) -> None:
        super().__init__(message, **answer)
        self.errors = errors if errors is not None else {}

    def _detail(self) -> str:
        return first_few(self.errors)


class StageBlockedError(UnprocessableError):
    """422: mandatory tasks (`pending_tasks`) keep the lead in its stage."""

    def __init__(
        self, message: str, *, pending_tasks: tuple[PendingTask, ...] = (), **answer: Any
    ) -> None:
        super().__init__(message, **answer)
        self.pending_tasks = pending_tasks

    def _detail(self) -> str:
        tasks = (f"{task.subject or task.id}" for task in self.pending_tasks)
        return first_few(shorten(task, LONGEST_NAME) for task in tasks)


class PlanLimitError(UnprocessableError):
    """422: the account's plan holds no more leads."""


class MessagingWindowClosedError(UnprocessableError):
    """422: WhatsApp's 24-hour window is closed; send a template instead."""

    def __init__(self, message: str, *, skip_reason: str | None = None, **answer: Any) -> None:
        super().__init__(message, **answer)
        self.skip_reason = skip_reason


class RateLimitedError(APIError):
    """429, and the wait it asks for does not fit `max_wait` or `max_elapsed`.

    `retry_after` is what the server asked (s), or the service's fallback when it named no usable
    time; `pause` is how long the client itself holds all calls of the key back, margin included.
    """

    pause: float = 0.0

    def _detail(self) -> str:
        return format_wait(self.retry_after)


class ProviderRateLimitedError(RateLimitedError):
    """429 from the connected provider, not from the service itself.

    Only the call waits that was refused: the key may be used for other providers and end users.
    """


class ServerError(APIError):
    """5xx: the server failed."""


class ProviderError(ServerError):
    """502: an external provider (WhatsApp, say) failed or refused; `raw` is its own answer."""

    def __init__(self, message: str, *, raw: Any = None, **answer: Any) -> None:
        super().__init__(message, **answer)
        self.raw = raw


class ProviderAuthenticationError(ProviderError):
    """502: the provider no longer accepts the account's tokens; a person has to reconnect it."""


class ServiceUnavailableError(ServerError):
    """503: maintenance or overload; `retry_after` where the server said how long."""

    def _detail(self) -> str:
        return format_wait(self.retry_after)


class CircuitOpenError(ServiceUnavailableError):
    """503: the service has stopped calling a failing provider for a while."""
