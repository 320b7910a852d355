"""Responses, and the exceptions that end a request early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

JSON = ("content-type", "application/json")
HTML = ("content-type", "text/html; charset=UTF-8")

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Response:
    """A status, a body and its headers, with names in lower case."""

    status: int
    body: bytes
    headers: Headers = (JSON,)


class RequestRejected(Exception):  # noqa: N818 - a documented response, not a fault
    """The request ends with the response `answer`."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


class ValidationFailed(RequestRejected):
    """Fields are not valid; the response depends on the `Accept` header."""


def json_response(
    content: Mapping[str, Any], status: int = 200, *headers: tuple[str, str]
) -> Response:
    """A JSON response."""
    return Response(status, msgspec.json.encode(content), (JSON, *headers))


def error(status: int, content: Mapping[str, Any], *headers: tuple[str, str]) -> RequestRejected:
    """An exception with a JSON response, for `raise`."""
    return RequestRejected(json_response(content, status, *headers))


def rule_violation(message: str, **more: Any) -> RequestRejected:
    """422 with `success: false`: a business rule (API reference, 'Errors and limits')."""
    return error(422, {"success": False, "message": message, **more})


def not_found(what: str) -> RequestRejected:
    """404 with a `message`."""
    return error(404, {"message": f"{what} não encontrado."})


_MOST_DIGITS = 18


def id_from_path(text: str) -> int:
    """The id in a path segment; 0, which no record has, for anything that is no id."""
    digits = text.lstrip("0")
    known = digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS
    return int(digits) if known else 0


def method_not_allowed(method: str, path: str, allowed: Sequence[str]) -> RequestRejected:
    """405 for a path that has other methods."""
    names = ", ".join(allowed)
    message = (
        f"The {method} method is not supported for route api/v1{path}. Supported methods: {names}."
    )
    return error(405, {"message": message}, ("allow", names))


def too_large() -> RequestRejected:
    """413 for a body above the limit."""
    return error(413, {"message": "The POST data is too large."})


def invalid(errors: Mapping[str, list[str]]) -> ValidationFailed:
    """422 for invalid fields: `message` has the first error and the number of the others."""
    messages = [message for of_field in errors.values() for message in of_field]
    others = len(messages) - 1
    plural = "s" if others > 1 else ""
    tail = f" (and {others} more error{plural})" if others else ""
    return ValidationFailed(json_response({"message": messages[0] + tail, "errors": errors}, 422))


def redirect_to_page() -> Response:
    """The response to invalid fields for a browser: a redirect to an HTML page."""
    body = b'<!DOCTYPE html><html><head><meta http-equiv="refresh" content="0;url=/"></head></html>'
    return Response(302, body, (HTML, ("location", "/")))


def page(status: int, text: str) -> Response:
    """An HTML page, for requests outside of the API."""
    return Response(status, f"<!DOCTYPE html><html><body>{text}</body></html>".encode(), (HTML,))


def phrase(status: int) -> str:
    """The standard reason phrase of a status, for scripted responses without a body."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
