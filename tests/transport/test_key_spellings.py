"""The key is masked however a server spells it, in errors, logs and events, over a socket."""

from __future__ import annotations

import base64
import html
import json
import logging
import pickle
from collections.abc import Callable, Iterable
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncro_async import AsyncClient, RateLimit
from syncro_async._internal.key_mask import KeyMask
from syncro_async.errors import APIError, NoAnswerError, SyncroError, UnexpectedResponseError
from syncro_async.events import Event
from syncro_async.transport.redaction import ApiKey
from tests.transport.scripted_app import KEY, at_once
from tests.transport.scripted_server import ScriptedServer, answers, drops, http
from tests.transport.test_key_is_never_shown import shown_by

MANY = RateLimit(1_000, 60.0)


def each(form: str, text: str = KEY) -> str:
    """Every character of the text in that form."""
    return "".join(form % ord(character) for character in text)


SPELLINGS: dict[str, str] = {
    "as it is": KEY,
    "JSON": each("\\u%04x"),
    "JSON, capitals": each("\\u%04X"),
    "JSON, one character": KEY.replace("_", "\\u005f", 1),
    "JSON in JSON": json.dumps(each("\\u%04x"))[1:-1],
    "JavaScript": each("\\x%02x"),
    "braces": each("\\u{%x}"),
    "eight digits": each("\\U%08x"),
    "octal": each("\\%03o"),
    "Markdown": KEY.replace("_", "\\_"),
    "percent": each("%%%02x"),
    "percent, where it must": quote(KEY.replace("_", "/"), safe="").replace("%2F", "%5F"),
    "percent twice": each("%%25%02X"),
    "percent in JSON": each("\\u0025%02x"),
    "old JavaScript": each("%%u%04x"),
    "HTML": each("&#%d;"),
    "HTML, hexadecimal": each("&#x%x;"),
    "HTML, a name": KEY.replace("_", "&lowbar;"),
    "HTML twice": html.escape(each("&#%d;")),
    "quoted-printable": each("=%02X"),
    "quoted-printable, wrapped": KEY[:14] + "=\r\n" + KEY[14:],
    "hexadecimal": KEY.encode().hex(),
    "a dump of memory": KEY.encode().hex(" "),
    "a dump with colons": KEY.encode().hex(":").upper(),
    "capitals": KEY.upper(),
    "wrapped": KEY[:14] + "\n    " + KEY[14:],
    "UTF-16": KEY.encode("utf-16-le").decode(),
    "zero-width spaces": "\u200b".join(KEY),
    "a piece of it": KEY[7:20],
    "cut short": KEY[:6] + "…",
}
# What encodes several characters at once has an end that depends on what stands beside it.
ENCODED = {
    f"base64, {len(before)} before": base64.b64encode(before + KEY.encode()).decode()
    for before in (b"", b"u:", b"ab:")
} | {"base64 for URLs": base64.urlsafe_b64encode(b"\xff\xfe" + KEY.encode() + b"\xff\xff").decode()}


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "syncro_async")


def in_message(spelled: str) -> bytes:
    """JSON that quotes what can stand in a text of JSON as it is, and escapes the rest."""
    quoted = spelled if "\\" in spelled and "\n" not in spelled else json.dumps(spelled)[1:-1]
    quoted = quoted.replace("\\_", "\\\\_").replace("\\x", "\\\\x").replace("\\1", "\\\\1")
    quoted = quoted.replace("\\u{", "\\\\u{").replace("\\U", "\\\\U").replace("\\0", "\\\\0")
    errors = f'{{"{quoted}": ["{quoted}"]}}'
    return f'{{"message": "{quoted}", "code": "{quoted}", "errors": {errors}}}'.encode()


ANSWERS: dict[str, Callable[[str], bytes]] = {
    "a refusal": lambda spelled: http(in_message(spelled), "422 No"),
    "a failure in JSON": lambda spelled: http(in_message(spelled), "500 No"),
    "a failure in HTML": lambda spelled: http(f"<p>{spelled}".encode(), "502 No"),
    "a page under 200": lambda spelled: http(f"<p>{spelled}".encode()),
    "a wrong shape": lambda spelled: http(b'{"lead": %s}' % in_message(spelled)),
    "a success that is none": lambda spelled: http(
        b'{"success": false, %s' % in_message(spelled)[1:]
    ),
}


async def shown_of_all(
    raws: Iterable[bytes], caplog: pytest.LogCaptureFixture
) -> list[tuple[SyncroError, str]]:
    """The error of each call that is answered so, and all that could be shown of it."""
    seen: list[Event] = []
    found: list[tuple[SyncroError, str]] = []
    raws = list(raws)
    async with (
        ScriptedServer(answers(*raws)) as server,
        AsyncClient(
            KEY, base_url=server.url, retry=at_once(1), observers=[seen.append], rate_limit=MANY
        ) as client,
    ):
        for _ in raws:
            with pytest.raises(SyncroError) as caught:
                await client.leads.get(7)
            shown = shown_outside(caught.value)
            found.append((caught.value, f"{shown}{caplog.text}{seen!r}"))
            caplog.clear()
            seen.clear()
    assert KEY.encode() in server.requests[0]
    return found


async def shown_of(raw: bytes, caplog: pytest.LogCaptureFixture) -> tuple[SyncroError, str]:
    """The same of one call."""
    [found] = await shown_of_all([raw], caplog)
    return found


def shown_outside(error: SyncroError) -> str:
    """All that could be shown of it but the frame of the test that caught it."""
    assert error.__traceback__ is not None
    return shown_by(error.with_traceback(error.__traceback__.tb_next))


@pytest.mark.parametrize("answer", ANSWERS)
async def test_no_spelling_gets_out(answer: str, caplog: pytest.LogCaptureFixture) -> None:
    raws = map(ANSWERS[answer], SPELLINGS.values())
    found = await shown_of_all(raws, caplog)
    for (name, spelled), (error, shown) in zip(SPELLINGS.items(), found, strict=True):
        assert spelled not in shown, name
        assert KEY[:6] not in shown, name
        assert "***" in str(error), name
        assert isinstance(error, APIError | UnexpectedResponseError)


@pytest.mark.parametrize("answer", ["a refusal", "a failure in HTML"])
async def test_nor_does_it_encoded(answer: str, caplog: pytest.LogCaptureFixture) -> None:
    found = await shown_of_all(map(ANSWERS[answer], ENCODED.values()), caplog)
    for spelled, (_, shown) in zip(ENCODED.values(), found, strict=True):
        assert spelled[6:20] not in shown
        assert spelled[20:-6] not in shown


async def test_nor_in_the_headers_of_an_error(caplog: pytest.LogCaptureFixture) -> None:
    for spelled in (each("%%%02x"), KEY.upper(), KEY[:14]):
        headers = (f"Location: /login?at={spelled}", f"X-Debug: {spelled}")
        page = http(b"<p>").replace(b"application/json", f"text/{spelled}".encode())
        packed = page.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        unknown = f"\r\nContent-Encoding: {spelled}\r\n\r\n".encode()
        strange = page.replace(b"\r\n\r\n", unknown)
        said = (f"X-Debug: {spelled}", f"X-{spelled.replace('%', '_')}: 1")
        raws = [http(b"", "302 Found", headers), page, packed, http(b"{}", headers=said), strange]
        redirected, typed, broken, shaped, coded = await shown_of_all(raws, caplog)
        assert isinstance(coded[0], UnexpectedResponseError)
        assert spelled not in coded[1]
        assert isinstance(broken[0], UnexpectedResponseError)
        assert spelled not in broken[1]
        assert spelled.lower() not in shaped[1].lower()
        assert spelled not in redirected[1]
        assert isinstance(typed[0], UnexpectedResponseError)
        assert spelled not in typed[1]


async def test_nor_in_a_broken_answer(caplog: pytest.LogCaptureFixture) -> None:
    for spelled in (each("\\x%02x"), KEY[:14], f"{KEY}\x1b[31m"):
        line = f"HTTP/1.1 200 OK\r\nX-Debug {spelled}\r\n\r\n".encode()
        async with (
            ScriptedServer(drops(line, reset=False)) as server,
            AsyncClient(KEY, base_url=server.url, retry=at_once(1)) as client,
        ):
            with pytest.raises(NoAnswerError) as caught:
                await client.leads.get(7)
        shown = shown_outside(caught.value)
        assert spelled not in shown
        assert KEY[:14] not in shown
        assert "\x1b" not in shown


async def test_the_whole_body_is_kept_but_for_the_key(caplog: pytest.LogCaptureFixture) -> None:
    text = "x" * 300_000
    body = json.dumps({"message": text, "key": [KEY, {"a": each("\\u%04x")}], "n": 1.5})
    error, _ = await shown_of(http(body.encode(), "500 No"), caplog)
    assert isinstance(error, APIError)
    assert error.body == {"message": text, "key": ["***", {"a": "***"}], "n": 1.5}
    page = b"<p>" + text.encode() + KEY.encode() + b"\xff</p>"
    error, _ = await shown_of(http(page, "500 No"), caplog)
    assert isinstance(error, APIError)
    assert error.body == b"<p>" + text.encode() + b"***\xff</p>"


class TestSecretsOfWebhooks:
    async def test_are_in_no_error(self, caplog: pytest.LogCaptureFixture) -> None:
        bodies = (
            b'{"secret": "s3cr3t-of-a-hook", "message": "no"}',
            b'{"data": [{"s\\u0065cret": "s3cr3t-of-a-hook"}]}',
            b'{"signing_secret": "s3cr3t-of-a-hook", "id": [',
            b'<pre>{"Secret": "s3cr3t-of-a-hook',
        )
        statuses = ("200 OK", "422 No", "500 No")
        raws = [http(body, status) for body in bodies for status in statuses]
        for _, shown in await shown_of_all(raws, caplog):
            assert "s3cr3t" not in shown


class TestTheMask:
    def test_is_neither_shown_nor_pickled(self) -> None:
        assert repr(KeyMask(KEY)) == "KeyMask(***)"
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(KeyMask(KEY))

    @pytest.mark.parametrize(
        ("text", "masked"),
        [
            ("", ""),
            ("nothing", "nothing"),
            (f"<{KEY}>", "<***>"),
            (f"{KEY}{KEY}", "******"),
            (f"a {KEY[3:11]} b", "a *** b"),
            (f"a {KEY[3:10]} b", f"a {KEY[3:10]} b"),
            (f"a {KEY[:7]}", "a ***"),
            (f"a {KEY[:7]}...'", "a ***...'"),
            (f"a {KEY[:4]}", f"a {KEY[:4]}"),
            (f"a {KEY[:7]} b", f"a {KEY[:7]} b"),
            (f"\\u0063{KEY[1:]}\\u0063", "***\\u0063"),
            (
                "&unknown; &rarr; \\q \\n %zz %c3%a9 &#300;",
                "&unknown; &rarr; \\q \\n %zz %c3%a9 &#300;",
            ),
            (f"{KEY} \\u0026#37;26#37;x", "*** \\u0026#37;26#37;x"),
            (f"k={KEY[0]}\\r\\n{KEY[1:]}", "k=***"),
        ],
    )
    def test_takes_no_more_and_no_less(self, text: str, masked: str) -> None:
        assert KeyMask(KEY).mask(text) == masked
        assert KeyMask(KEY).mask_bytes(text.encode()) == masked.encode()

    def test_reaches_into_values(self) -> None:
        value = {KEY: [KEY, (KEY.encode(), bytearray(KEY.encode())), 7]}
        assert ApiKey(KEY).mask_values(value) == {"***": ["***", (b"***", b"***"), 7]}

    def test_knows_a_short_key_as_a_whole_only(self) -> None:
        assert KeyMask("abc").mask("abc ab \\u0061bc ABC") == "*** ab *** ***"

    def test_knows_a_key_that_looks_like_an_escape(self) -> None:
        key = "%41\\u0041&amp;=4A/+secret"
        for spelled in (key, quote(key, safe=""), html.escape(key), json.dumps(key)[1:-1]):
            assert KeyMask(key).mask(f"<{spelled}>") == "<***>"

    @pytest.mark.parametrize("shift", range(-40, 40, 3))
    def test_finds_it_on_the_border_of_two_windows(self, shift: int) -> None:
        start = 2**18 + shift
        for spelled in (KEY, each("\\u%04x")):
            text = "." * start + spelled + "!" * 2**18 + spelled
            masked = "." * start + "***" + "!" * 2**18 + "***"
            assert KeyMask(KEY).mask(text) == masked

    @given(st.text(), st.text(), st.integers(0, len(KEY) - 8), st.integers(8, len(KEY)))
    @example("\\", "", 0, 8)
    @example("%", "", 0, 8)
    def test_leaves_no_piece_of_it(self, before: str, after: str, start: int, length: int) -> None:
        piece = KEY[start : start + max(8, length)]
        mask = KeyMask(KEY)
        assert piece not in mask.mask(f"{before}{piece}{after}")
        spelled = each("%%%02x", piece)
        assert spelled not in mask.mask(f"{before}{spelled}{after}")

    @given(st.text(alphabet="\\u0063%&#;=c_\n\0x", max_size=60))
    def test_changes_nothing_that_does_not_hold_it(self, text: str) -> None:
        assert KeyMask(KEY).mask(text) == text
