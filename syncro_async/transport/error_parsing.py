"""Reads what a service says when it says no.

Three envelopes are known: Syncro's `{message, errors?}`, a nested `{error: {code, message,
details?}}` and a flat `{code, message, errors?}`. All are read alike: a field that is not where
one envelope has it is looked for where the others do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any

import msgspec

from syncro_async._internal.plain_text import LONGEST_NAME, one_line, shorten
from syncro_async.dialects.dialect import Dialect
from syncro_async.errors import (
    AccountSuspendedError,
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    MessagingWindowClosedError,
    NotFoundError,
    PendingTask,
    PermissionDeniedError,
    PlanLimitError,
    ProviderError,
    RateLimitedError,
    ServerError,
    ServiceUnavailableError,
    StageBlockedError,
    UnprocessableError,
    ValidationError,
)
from syncro_async.transport.body_limits import (
    DEEPEST,
    ROOM_OF_AN_ERROR,
    TooLargeError,
    check_memory,
    is_deeper,
)

_EXCERPT = 200
# So many fields of a refusal, and messages of each, are named; `error.body` has all of them.
_MOST_FIELDS = 1_000
_MOST_MESSAGES = 100
_BOM = b"\xef\xbb\xbf"
_BY_STATUS: Mapping[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableError,
    429: RateLimitedError,
    502: ProviderError,
    503: ServiceUnavailableError,
}
_VALIDATION_CODES = frozenset({"VALIDATION_ERROR", "INVALID_INPUT"})


def parse_body(content: bytes) -> Any:
    """Return the decoded JSON, or the bytes themselves where they are not JSON.

    Bytes stays also what is nested absurdly or would take too much memory.
    """
    try:
        check_memory(content, ROOM_OF_AN_ERROR)
        if is_deeper(content, DEEPEST):
            return content
        body = msgspec.json.decode(without_bom(content))
    except (TooLargeError, ValueError, RecursionError):  # of ValueError are msgspec's and Unicode's
        return content
    return content if _is_nested(body, DEEPEST) else body


def _is_nested(body: Any, levels: int) -> bool:
    layer = [body]
    for _ in range(levels):
        layer = [part for whole in layer for part in _parts(whole)]
        if not layer:
            return False
    return True


def _parts(whole: Any) -> Iterable[Any]:
    if isinstance(whole, dict):
        return whole.values()
    return whole if isinstance(whole, list) else ()


def without_bom(content: bytes) -> bytes:
    """The same bytes without the byte order mark that some editors put in front of UTF-8."""
    return content.removeprefix(_BOM)


def text_of(content: bytes) -> str:
    """More of the beginning of a body than an excerpt shows, whatever its encoding."""
    return content[: 8 * _EXCERPT].decode("utf-8", "replace")


def excerpt(text: str) -> str:
    """The first characters of a text on one line."""
    return one_line(text[:_EXCERPT]).strip()


@dataclass(frozen=True, slots=True)
class _ErrorFields:
    """What an answer says, whichever envelope it came in; `top` is the outermost object."""

    status: int
    top: dict[str, Any]
    code: str | None
    message: str
    details: dict[str, list[str]]


def make_error(status: int, body: Any, dialect: Dialect) -> APIError:
    """Return the error for an answer of this status and body."""
    top = body if isinstance(body, dict) else {}
    inner = top["error"] if isinstance(top.get("error"), dict) else top
    said = _ErrorFields(
        status,
        top,
        code=_name(inner.get("code")) or _name(top.get("code")),
        message=_message(status, body, inner, top),
        details=_field_errors(inner.get("details") or inner.get("errors") or top.get("errors")),
    )
    kind = _error_class(said, dialect)
    extras: dict[str, Any] = {}
    for family, read in _EXTRAS.items():
        if issubclass(kind, family):
            extras = read(said, dialect)
    advice = dialect.advice.get(said.code or "")
    return kind(said.message, status=status, code=said.code, body=body, advice=advice, **extras)


def _error_class(said: _ErrorFields, dialect: Dialect) -> type[APIError]:
    status, code = said.status, said.code
    of_status = _BY_STATUS.get(status, ServerError if status >= 500 else APIError)
    of_code = dialect.codes.get(code or "", APIError)
    # An `except` for the class of a status must also catch its more specific codes.
    if of_code is not APIError and issubclass(of_code, of_status):
        return of_code
    if status in {400, 422} and (said.details or code in _VALIDATION_CODES):
        return ValidationError
    if status == 403 and said.message in dialect.suspended:
        return AccountSuspendedError
    if status == 422:
        return _business_rule(said.top)
    return of_status


def _business_rule(top: dict[str, Any]) -> type[APIError]:
    """Which rule a 422 names (API reference, "Errors and limits")."""
    if top.get("blocked") is True:
        return StageBlockedError
    if top.get("limit_reached") is True:
        return PlanLimitError
    if top.get("skip_reason") == "window_closed":
        return MessagingWindowClosedError
    return UnprocessableError


_EXTRAS: Mapping[type[APIError], Callable[[_ErrorFields, Dialect], dict[str, Any]]] = {
    ValidationError: lambda said, _: {"errors": said.details},
    AuthenticationError: lambda said, dialect: {"reason": dialect.key_reasons.get(said.message)},
    PermissionDeniedError: lambda said, _: {
        "required_permission": _name(said.top.get("required_permission"))
    },
    StageBlockedError: lambda said, _: {
        "pending_tasks": _pending_tasks(said.top.get("pending_tasks"))
    },
    MessagingWindowClosedError: lambda said, _: {"skip_reason": _name(said.top.get("skip_reason"))},
    ProviderError: lambda said, _: {"raw": said.top.get("raw")},
}


def _message(status: int, body: Any, inner: dict[str, Any], top: dict[str, Any]) -> str:
    """Return the server's own text, in whichever field it is, or what the status means."""
    for words in (inner.get("message"), top.get("message"), top.get("error")):
        if text := _text(words):
            return shorten(text, whole="error.body has it whole")
    if isinstance(body, bytes) and (start := excerpt(text_of(body))):
        return start
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "the server gave no reason"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _name(value: Any) -> str | None:
    text = _text(value)
    return None if text is None else shorten(text, LONGEST_NAME)


def _field_errors(details: Any) -> dict[str, list[str]]:
    """`{field: [messages]}`, also where they come as `{field: message}` or as PHP's lists."""
    if not isinstance(details, dict):
        return {}
    return {
        shorten(field, LONGEST_NAME): [
            shorten(str(text)) for text in islice(_listed(texts), _MOST_MESSAGES)
        ]
        for field, texts in islice(details.items(), _MOST_FIELDS)
    }


def _listed(texts: Any) -> Iterable[Any]:
    if isinstance(texts, dict) and texts and all(name.isdigit() for name in texts):
        return texts.values()
    return texts if isinstance(texts, list) else (texts,)


def _pending_tasks(tasks: Any) -> tuple[PendingTask, ...]:
    return tuple(
        PendingTask(task.get("id"), task.get("subject"), task.get("type"))
        for task in islice(_listed(tasks), _MOST_FIELDS)
        if isinstance(task, dict)
    )
