"""What a server says stands on one line of a message or a log, and long texts are cut there."""

from __future__ import annotations

import json
import logging
import tracemalloc
from typing import Any

import pytest

from syncro_async import AsyncClient
from syncro_async.bulk.importing.failures import reason_for
from syncro_async.errors import (
    APIError,
    BadRowsError,
    PermissionDeniedError,
    StageBlockedError,
    SyncroError,
    UnexpectedResponseError,
    UnprocessableError,
    ValidationError,
)
from syncro_async.events import Event, ServerFailed
from syncro_async.models.receipts import RowProblem
from syncro_async.transport.body_limits import TooLargeError, check_memory, is_deeper
from tests.transport.scripted_app import KEY, at_once
from tests.transport.scripted_server import ScriptedServer, answers, drops, http
from tests.transport.test_key_spellings import MANY

MEGABYTE = 2**20
# A line break of every kind, a colour, a bell, a title for the window, and marks that turn the
# direction of writing.
ODD = (
    "one\r\ntwo\u2028three\u2029four\x85five\x0bsix\x1b[31mred\x1b]0;title\x07\u202egnp.\u202c"
    "\u2066a\u2069\u200f\x00\x7f\x9b31m\ufeff"
)


async def raised_by(*raws: bytes) -> list[SyncroError]:
    """What each call raises that is answered so."""
    async with (
        ScriptedServer(answers(*raws)) as server,
        AsyncClient(KEY, base_url=server.url, retry=at_once(1), rate_limit=MANY) as client,
    ):
        found = []
        for _ in raws:
            with pytest.raises(SyncroError) as caught:
                await client.leads.get(7)
            found.append(caught.value)
    return found


def refusal(body: Any, status: str = "422 No") -> bytes:
    return http(json.dumps(body).encode(), status)


def on_one_line(text: str) -> bool:
    return text.isprintable()


class TestOneLine:
    async def test_is_all_that_an_error_shows(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "syncro_async")
        named = {ODD: [ODD, {"a": ODD}], "b": ODD}
        raws = (
            refusal({"message": ODD, "code": ODD, "errors": named}),
            refusal({"message": ODD, "required_permission": ODD}, "403 No"),
            refusal({"message": "no", "blocked": True, "pending_tasks": [{"subject": ODD}]}),
            refusal({"message": "no", "skip_reason": ODD}),
            refusal({"message": ODD}, "500 No"),
            http(f"<p>{ODD}".encode(), "502 No"),
            http(f"<p>{ODD}".encode()),
            http(b"\x1b[2J", "302 Found", ("Location: /a",)),
        )
        errors = await raised_by(*raws)
        for error in errors:
            assert on_one_line(str(error))
            assert on_one_line(error.message)
        valid, denied, blocked = errors[:3]
        assert isinstance(valid, ValidationError)
        for name, messages in valid.errors.items():
            assert on_one_line(name)
            assert all(map(on_one_line, messages))
        assert valid.body["message"] == ODD
        assert isinstance(denied, PermissionDeniedError)
        assert on_one_line(denied.required_permission or "")
        assert isinstance(blocked, StageBlockedError)
        assert on_one_line(str(blocked))
        assert caplog.messages
        assert all(map(on_one_line, caplog.messages))

    async def test_is_what_stays_of_a_broken_answer(self) -> None:
        line = b"HTTP/1.1 200 \x1b[31mOK\x07\r\nX\x1b]0;t\x07: y\r\n\r\n"
        async with (
            ScriptedServer(drops(line, reset=False)) as server,
            AsyncClient(KEY, base_url=server.url, retry=at_once(1)) as client,
        ):
            with pytest.raises(SyncroError) as caught:
                await client.leads.get(7)
        assert on_one_line(str(caught.value))
        assert on_one_line(str(caught.value.__cause__))

    def test_is_what_an_error_of_rows_shows(self) -> None:
        problem = RowProblem(1, None, f"refused: {ODD}")
        error = BadRowsError(f"nothing was sent {ODD}", problems=(problem,))
        assert on_one_line(str(error))


LETTERS = {
    "letters": "a" * 100_000,
    "digits": "1" * 100_000,
    "tags": "<" * 100_000,
    "spaces": " " * 99_999 + "a",
    "quotes": '"' * 100_000,
    "opening quotes": "“" * 100_000,
    "backslashes": "\\" * 100_000,
    "addresses": "a@" * 50_000,
    "numbers": "+1" * 50_000,
    "words": "token " * 17_000,
    "escapes": "\\u0063" * 17_000,
    "percents": "%" * 100_000,
    "lines": "a\n" * 50_000,
}


class TestLongTexts:
    @pytest.mark.parametrize("name", LETTERS)
    async def test_are_cut_in_messages_and_kept_in_the_body(
        self, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        text = LETTERS[name]
        body = {"message": text, "errors": {text: [text] * 3, "b": text}}
        refused, failed = await raised_by(refusal(body), refusal(body, "500 No"))
        assert isinstance(refused, ValidationError)
        assert isinstance(failed, APIError)
        for error in (refused, failed):
            assert error.body == body
            assert len(str(error)) < 1_000
            assert len(error.message) < 600
            assert "error.body has it whole" in error.message
        assert max(map(len, refused.errors)) < 200
        assert len(reason_for(refused)) < 2_000
        (line,) = caplog.messages
        assert len(line) < 700
        assert line.endswith("bytes in all); the error's `body` has the whole of it")

    async def test_one_that_fits_is_not_cut(self) -> None:
        (error,) = await raised_by(refusal({"message": "a" * 500}))
        assert error.message == "a" * 500

    async def test_the_event_says_how_long_the_body_is(self) -> None:
        seen: list[Event] = []
        raws = (http(b"a" * 500, "500 No"), http(b"a" * 501, "500 No"))
        async with (
            ScriptedServer(answers(*raws)) as server,
            AsyncClient(
                KEY, base_url=server.url, retry=at_once(1), observers=[seen.append]
            ) as client,
        ):
            for _ in raws:
                with pytest.raises(APIError):
                    await client.leads.get(7)
        assert [event.size for event in seen if isinstance(event, ServerFailed)] == [0, 501]

    async def test_of_many_fields_and_messages_the_first_are_named(self) -> None:
        many = {f"field {number}": ["no"] * 150 for number in range(1_500)}
        (error,) = await raised_by(refusal({"message": "no", "errors": many}))
        assert isinstance(error, ValidationError)
        assert (len(error.errors), len(error.errors["field 0"])) == (1_000, 100)
        assert error.body["errors"] == many

    async def test_lists_of_php_are_lists_of_messages_and_tasks(self) -> None:
        gaps = {"1": "first", "3": "second"}
        tasks = {"2": {"id": 5, "subject": "Ligar"}, "7": {"id": 6}}
        valid, blocked = await raised_by(
            refusal({"message": "no", "errors": {"name": gaps, "email": {"why": "x"}}}),
            refusal({"message": "no", "blocked": True, "pending_tasks": tasks}),
        )
        assert isinstance(valid, ValidationError)
        assert valid.errors == {"name": ["first", "second"], "email": ["{'why': 'x'}"]}
        assert isinstance(blocked, StageBlockedError)
        assert [task.id for task in blocked.pending_tasks] == [5, 6]


class TestLargeBodies:
    """Bodies that would take many times their own size are not decoded."""

    @pytest.mark.parametrize("part", [b"[],", b'{"":0},', b'"",'], ids=repr)
    async def test_take_no_more_memory_than_is_allowed(self, part: bytes) -> None:
        inner = part * (3 * MEGABYTE // len(part))
        body = b'{"errors": [' + inner.rstrip(b",") + b"]}"
        tracemalloc.start()
        try:
            (error,) = await raised_by(http(body, "422 No"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 40 * MEGABYTE
        assert isinstance(error, UnprocessableError)
        assert error.body == body
        assert error.message.startswith('{"errors": ')

    async def test_under_200_are_an_error(self) -> None:
        body = b"[" + b"[]," * MEGABYTE + b"[]]"
        async with (
            ScriptedServer(answers(http(body))) as server,
            AsyncClient(KEY, base_url=server.url) as client,
        ):
            with pytest.raises(UnexpectedResponseError, match="values would take more than 80 MB"):
                await client.request("GET", "/x")

    async def test_depth_that_texts_hide_is_found_all_the_same(self) -> None:
        body = b'["]",' * 150 + b'"["]' + b',"["]' * 149
        assert not is_deeper(body, 100)
        (error,) = await raised_by(http(body, "422 No"))
        assert isinstance(error, UnprocessableError)
        assert error.body == body

    @pytest.mark.parametrize("text", ["é", "→", "😀", "\\u2192", "\\ud83d\\ude00"])
    def test_texts_count_with_the_width_of_their_widest_character(self, text: str) -> None:
        room = 32 * MEGABYTE
        width = {"é": 1, "→": 2, "\\u2192": 2}.get(text, 4)
        body = b'"' + b"a" * (32 * MEGABYTE // width) + text.encode() + b'"'
        with pytest.raises(TooLargeError):
            check_memory(body, room)
        if width > 1:
            check_memory(body[: -len(text.encode()) - 1] + b'"', room)

    def test_commas_and_brackets_in_texts_count_for_nothing(self) -> None:
        text = json.dumps({"message": '{[,"\\' * (MEGABYTE // 2)}).encode()
        check_memory(text)
        assert not is_deeper(text, 100)

    @pytest.mark.parametrize(("depth", "deeper"), [(100, False), (101, True)])
    def test_depth_is_counted_outside_of_texts(self, depth: int, *, deeper: bool) -> None:
        text = b'"[{' + b"\\\\" * 3 + b'\\""'
        body = b'{"a":[' * (depth // 2) + b"[" * (depth % 2) + text
        body += b"]" * (depth % 2) + b"]}" * (depth // 2)
        assert is_deeper(body, 100) is deeper
