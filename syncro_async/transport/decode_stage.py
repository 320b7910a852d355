"""Turns the bytes of an answer into the result of the call."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from syncro_async.errors import SyncroError
from syncro_async.transport.body_limits import TooLargeError, check_memory
from syncro_async.transport.error_parsing import without_bom
from syncro_async.transport.json_codec import NotSuccessfulError
from syncro_async.transport.messages import Call, CallOptions, CallState, RawResponse, Stage
from syncro_async.transport.response_stage import ResponseStage

T = TypeVar("T")


class DecodeStage:
    """The outermost stage: what does not decode is never sent again, for it was carried out."""

    def __init__(self, send: Stage, responses: ResponseStage) -> None:
        self._send = send
        self._responses = responses

    async def __call__(self, call: Call[T], options: CallOptions) -> T:
        """Make the call. Raises `UnexpectedResponseError` for what the call cannot read."""
        exchange = CallState(call, options, queue_timeout=options.max_wait)
        reply = await self._send(exchange)
        if call.on_response is not None:
            call.on_response(reply)
        if options.record is not None:
            options.record(exchange, reply)
        try:
            check_memory(reply.content)
            return call.read(without_bom(reply.content))
        except NotSuccessfulError:
            error: SyncroError = self._responses.to_api_error(reply)
        except (TooLargeError, ValueError, RecursionError) as problem:
            error = self._responses.to_unexpected(reply, _decode_error(problem, reply))
        error.method, error.path, error.attempts = call.method, call.path, exchange.attempts
        raise error


def _decode_error(problem: Exception, reply: RawResponse) -> str:
    if not reply.content.strip():
        return "an empty answer where a JSON object was expected"
    if isinstance(problem, TooLargeError):
        return f"the answer is too large: {problem}"
    if isinstance(problem, msgspec.ValidationError):
        return f"the answer does not have the documented shape: {problem}"
    if "html" in (reply.header("content-type") or ""):
        return "an HTML page instead of JSON; check base_url, and the proxies in between"
    return f"the answer is not JSON: {str(problem) or type(problem).__name__}"
