"""Reads what a service says when it says no.

Three envelopes are known: Syncro's `{message, errors?}`, a nested `{error: {code, message,
details?}}` and a flat `{code, message, errors?}`. All are read alike: a field that is not where
one envelope has it is looked for where the others do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

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

_EXCERPT = 200
# Deeper bodies are kept as bytes: neither pickle nor `str()` gets through many more levels.
_DEEPEST = 100
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
    """The decoded JSON, or the bytes themselves where they are none, or one nested absurdly."""
    try:
        body = msgspec.json.decode(without_bom(content))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return content
    return content if _is_deeper(body, _DEEPEST) else body


def _is_deeper(body: Any, levels: int) -> bool:
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


def excerpt(content: bytes) -> str:
    """The first characters of a body, whatever its encoding."""
    return content[: 4 * _EXCERPT].decode("utf-8", "replace")[:_EXCERPT].strip()


@dataclass(frozen=True, slots=True)
class _ErrorFields:
    """What an answer says, whichever envelope it came in; `top` is the outermost object."""

    status: int
    top: dict[str, Any]
    code: str | None
    message: str
    details: dict[str, list[str]]


def make_error(status: int, body: Any, dialect: Dialect) -> APIError:
    """The error that an answer of this status and body stands for."""
    top = body if isinstance(body, dict) else {}
    inner = top["error"] if isinstance(top.get("error"), dict) else top
    said = _ErrorFields(
        status,
        top,
        code=_text(inner.get("code")) or _text(top.get("code")),
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
        "required_permission": _text(said.top.get("required_permission"))
    },
    StageBlockedError: lambda said, _: {
        "pending_tasks": _pending_tasks(said.top.get("pending_tasks"))
    },
    MessagingWindowClosedError: lambda said, _: {"skip_reason": _text(said.top.get("skip_reason"))},
    ProviderError: lambda said, _: {"raw": said.top.get("raw")},
}


def _message(status: int, body: Any, inner: dict[str, Any], top: dict[str, Any]) -> str:
    """The server's own words, wherever they stand, or what the status means."""
    for words in (inner.get("message"), top.get("message"), top.get("error")):
        if text := _text(words):
            return text
    if isinstance(body, bytes) and (start := excerpt(body)):
        return start
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "the server gave no reason"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _field_errors(details: Any) -> dict[str, list[str]]:
    """`{field: [messages]}` or `{field: message}` as the former."""
    if not isinstance(details, dict):
        return {}
    return {
        field: [str(text) for text in texts] if isinstance(texts, list) else [str(texts)]
        for field, texts in details.items()
    }


def _pending_tasks(tasks: Any) -> tuple[PendingTask, ...]:
    if not isinstance(tasks, list):
        return ()
    return tuple(
        PendingTask(task.get("id"), task.get("subject"), task.get("type"))
        for task in tasks
        if isinstance(task, dict)
    )
