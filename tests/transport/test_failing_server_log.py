"""What the log says of a server that fails, and of long waits, to whoever set nothing up."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncro_async import RateLimit
from syncro_async.errors import ServerError
from syncro_async.events import Event, ServerFailed, SlotWaited
from syncro_async.transport.redaction import ApiKey, redact_body
from tests.transport.scripted_app import KEY, ONE, Answer, App, at_once, client_of

WELL = Answer(body={"lead": {"id": 7}})


@pytest.fixture(autouse=True)
def _as_a_program_has_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "syncro_async")


class TestABodyOfA5xx:
    async def test_is_said_once_however_often_it_comes(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "syncro_async")
        app = App(Answer(500, {"message": "the lights are out"}))
        async with client_of(app, retry=at_once(3)) as client:
            for _ in range(2):
                with pytest.raises(ServerError):
                    await client.leads.get(7)
        assert len(app.asked) == 6
        assert [r.getMessage() for r in caplog.records if "the lights" in r.getMessage()] == [
            'GET /leads/7: the server failed with 500: {"message":"the lights are out"}'
        ]

    async def test_is_said_once_for_a_call_and_again_when_the_trouble_came_back(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = App(Answer(500), Answer(502, b"<h1>Bad"), WELL, Answer(502, b"<h1>Bad"), WELL)
        async with client_of(app, retry=at_once()) as client:
            await client.leads.get(7)
            await client.leads.get(8)
        assert caplog.messages == [
            'GET /leads/7: the server failed with 500: {"success":true}',
            "GET /leads/8: the server failed with 502: <h1>Bad",
        ]

    async def test_is_told_to_observers_without_the_key(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        seen: list[Event] = []
        echo = f"Authorization: Bearer {KEY}; key {KEY[:12]}"
        async with client_of(
            App(Answer(500, echo.encode()), WELL), observers=[seen.append], retry=at_once()
        ) as client:
            await client.leads.get(7)
        (told,) = [event for event in seen if isinstance(event, ServerFailed)]
        assert told == ServerFailed("GET", "/leads/7", 500, "Authorization: ***; key ***")
        assert KEY[:12] not in caplog.text


class TestAWaitForBudget:
    async def test_over_five_seconds_is_a_warning_though_nobody_listens(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with client_of(App(WELL), rate_limit=ONE) as client:
            await client.leads.get(7)
            await client.leads.get(8)
        assert caplog.messages == ["GET /leads/8 waited 60.2 s for budget (interactive lane)"]

    async def test_is_said_once_of_calls_that_wait_beside_each_other(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "syncro_async")
        seen: list[Event] = []
        app = App(WELL)
        async with client_of(app, rate_limit=RateLimit(3, 60.0), observers=[seen.append]) as client:
            await asyncio.gather(*(client.leads.get(number) for number in range(1, 7)))
            await asyncio.gather(*(client.leads.get(number) for number in range(7, 9)))
        assert [event.again for event in seen if isinstance(event, SlotWaited)] == [
            *(False, True, True),
            *(False, True),
        ]
        waits = [record for record in caplog.records if "for budget" in record.getMessage()]
        assert [record.levelno for record in waits] == [
            *(logging.WARNING, logging.INFO, logging.INFO),
            *(logging.WARNING, logging.INFO),
        ]

    async def test_is_the_plan_in_the_bulk_lane(self, caplog: pytest.LogCaptureFixture) -> None:
        async with client_of(App(WELL), rate_limit=ONE, lane="bulk") as client:
            await client.leads.get(7)
            await client.leads.get(8)
        assert caplog.messages == []


class TestWhatIsShownOfABody:
    @pytest.mark.parametrize(
        ("body", "line"),
        [
            (b"", "(no body)"),
            (b" \n", "(no body)"),
            (b"two\r\nlines", "two lines"),
            (b"\x1b[31mred", "\ufffd[31mred"),
            (b"a" * 501, "a" * 500 + "… (501 bytes in all)"),
            (b" " * 5000, "(no body)"),
            (b"a " + b" " * 5000, "a… (5002 bytes in all)"),
            (b'{"webhook_secret": "s3 cr3t", "id": 7}', '{"webhook_secret": ***, "id": 7}'),
            (b'{\\"api_key\\":\\"abc\\"}', '{\\"api_key\\":***\\"}'),
            (b"x-api-key=abc&page=2", "x-api-key=***&page=2"),
            (b"['token' => 'abc']", "['token' => ***]"),
            (b"'senha': 'two words', 'id': 7", "'senha': ***, 'id': 7"),
            (b"sent Basic YWJjOmRlZg== to it", "sent Basic *** to it"),
            (b"for ana@example.com, +55 (11) 98888-7777.", "for ***, ***."),
            (b'{"phone":5511988887777}', '{"phone":***}'),
            (b"id 5511988887777 at 2026-06-30T12:00:00", "id 5511988887777 at 2026-06-30T12:00:00"),
        ],
    )
    def test_is_short_on_one_line_and_without_secrets(self, body: bytes, line: str) -> None:
        assert redact_body(body, ApiKey(KEY)) == line

    def test_a_key_that_is_short_is_masked_as_a_whole(self) -> None:
        assert redact_body(b"k=abcdefg, abcdef", ApiKey("abcdefg")) == "k=***, abcdef"

    @given(st.text(), st.text(), st.integers(0, len(KEY) - 8), st.integers(8, len(KEY)))
    def test_no_piece_of_the_key_is_left(
        self, before: str, after: str, start: int, length: int
    ) -> None:
        piece = KEY[start : start + max(8, length)]
        assert piece not in redact_body(f"{before}{piece}{after}".encode(), ApiKey(KEY))
