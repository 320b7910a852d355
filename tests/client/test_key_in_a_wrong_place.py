"""A key that a caller puts into a wrong place is in no error, warning or log record."""

from __future__ import annotations

import base64
import logging
import os
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from syncro_async import AsyncClient, Dialect, RateLimit
from syncro_async._internal import known_keys
from syncro_async._internal.known_keys import looks_like_key, masked, remember_key
from syncro_async._internal.plain_text import shown
from syncro_async.errors import (
    ConfigurationError,
    InvalidArgumentError,
    NotFoundError,
    SyncroError,
    UnknownArgumentError,
    without_keys,
)
from syncro_async.events import ImportInDoubt, log_event
from syncro_async.fleet import AccountJob
from syncro_async.models.receipts import RowProblem
from tests.transport.scripted_app import Answer, App, client_of

KEY = "crm_S3cretK7y9xAbCdEfGh0123456789"
# No service of ours has keys like it.
OTHER_KEY = "S3cret+of/another=service.77"
SPELLINGS = {
    "as it is": KEY,
    "small letters": KEY.lower(),
    "capitals": KEY.upper(),
    "percent-encoded": "".join(f"%{ord(each):02x}" for each in KEY),
    "JSON": "".join(f"\\u{ord(each):04x}" for each in KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "without its beginning": KEY[6:],
}


def is_hidden(text: str, spelled: str = KEY) -> bool:
    return spelled.lower() not in text.lower() and "s3cret" not in text.lower()


def printed_of(error: SyncroError) -> tuple[str, ...]:
    """What a program prints of an error, its traceback included."""
    trace = "".join(traceback.format_exception(error))
    return str(error), repr(error), repr(error.parts), trace


@pytest.fixture(autouse=True)
def _keys_of_this_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = dict(known_keys._keys)
    known_keys._keys.clear()
    monkeypatch.setenv("SYNCRO_API_KEY", KEY)
    yield
    known_keys._keys.clear()
    known_keys._keys.update(before)


SETTINGS: dict[str, Callable[[str], dict[str, Any]]] = {
    "base_url": lambda key: {"base_url": key},
    "base_url behind a space": lambda key: {"base_url": f"https://host/v1 {key}"},
    "base_url with a wrong port": lambda key: {"base_url": f"https://u:{key}@host:44x/v1"},
    "base_url with a right port": lambda key: {"base_url": f"https://u:{key}@host:443/v1"},
    "base_url that is not encrypted": lambda key: {"base_url": f"http://host.invalid/{key}"},
    "path of base_url": lambda key: {"base_url": f"https://host.invalid/{key}/v1"},
    "base_url of no host": lambda key: {"base_url": f"https://1.2.3.400/{key}"},
    "limiter": lambda key: {"limiter": key},
    "limiter with an unknown scheme": lambda key: {"limiter": f"{key}://host"},
    "option of the limiter": lambda key: {"limiter": f"sqlite:///x.db?{key}=1"},
    "share of the limiter": lambda key: {
        "limiter": f"sqlite:///x.db?on_outage=local&local_share={key}"
    },
    "lane": lambda key: {"lane": key},
    "engine": lambda key: {"engine": key},
    "timeout": lambda key: {"timeout": key},
    "max_wait": lambda key: {"max_wait": key},
    "max_connections": lambda key: {"max_connections": key},
    "clock": lambda key: {"clock": key},
}


@pytest.mark.parametrize("given", [True, False], ids=["given", "environment"])
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("place", SETTINGS)
def test_no_setting_shows_it(
    place: str,
    spelling: str,
    given: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if given:
        monkeypatch.delenv("SYNCRO_API_KEY")
    with pytest.raises(ConfigurationError) as caught:
        AsyncClient(KEY if given else None, **SETTINGS[place](SPELLINGS[spelling]))
    for text in printed_of(caught.value):
        assert is_hidden(text, SPELLINGS[spelling])


@pytest.mark.parametrize("variable", ["BASE_URL", "LIMITER", "ENGINE", "RATE_LIMIT"])
@pytest.mark.parametrize("key", [KEY, KEY.lower(), OTHER_KEY])
def test_no_variable_shows_it(variable: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCRO_API_KEY", key)
    monkeypatch.setenv(f"SYNCRO_{variable}", key)
    with pytest.raises(ConfigurationError) as caught:
        AsyncClient()
    for text in printed_of(caught.value):
        assert is_hidden(text, key)


async def test_nor_does_the_locale_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCRO_LOCALE", KEY)
    async with client_of(App()) as client:
        with pytest.raises(InvalidArgumentError, match=r"locale '\*\*\*' is not known"):
            await client.bulk.upsert_leads([{"name": "Ana"}])


def test_the_error_says_that_two_variables_may_be_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCRO_API_KEY", "https://app.syncro.chat/api/v1")
    for key in (KEY, "Zk39dkWq81LmPz02XyTr"):
        monkeypatch.setenv("SYNCRO_BASE_URL", key)
        with pytest.raises(ConfigurationError) as caught:
            AsyncClient()
        assert str(caught.value) == (
            "base_url must look like 'https://app.syncro.chat/api/v1', and its value looks like an"
            " API key, so it is not shown here; check whether SYNCRO_API_KEY and SYNCRO_BASE_URL"
            " are swapped"
        )


def test_a_base_url_that_holds_it_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="base_url holds what looks like an API key"):
        AsyncClient(base_url=f"https://host.invalid/{KEY}")


def test_what_was_wrong_is_still_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        AsyncClient(base_url="https://ana:pass word@host:44x/v1")
    assert str(caught.value) == (
        "base_url='https://***@host:44x/v1' must look like 'https://app.syncro.chat/api/v1'"
    )


CALLS: dict[str, Callable[[AsyncClient, str], Awaitable[object]]] = {
    "path": lambda client, key: client.request("GET", f"https://other.invalid/{key}"),
    "path with a query": lambda client, key: client.request("GET", f"/x?api_key={key}"),
    "method": lambda client, key: client.request(f"get {key}", "/x"),
    "id": lambda client, key: client.leads.get(f"{key}/.."),  # type: ignore[arg-type]
    "argument": lambda client, key: client.leads.create(
        name="Ana",
        pipeline_id=1,
        stage_id=2,
        value=key,  # type: ignore[arg-type]
    ),
    "name of an argument": lambda client, key: client.leads.create(
        name="Ana",
        pipeline_id=1,
        stage_id=2,
        **{key: 1},  # type: ignore[arg-type]
    ),
}


@pytest.mark.parametrize("spelling", [KEY, KEY.lower(), KEY.upper()])
@pytest.mark.parametrize("place", CALLS)
async def test_no_argument_of_a_call_shows_it(place: str, spelling: str) -> None:
    app = App()
    async with client_of(app) as client:
        with pytest.raises(InvalidArgumentError) as caught:
            await CALLS[place](client, spelling)
    assert app.asked == []
    for text in (caught.value.argument, *printed_of(caught.value)):
        assert is_hidden(text)


async def test_nor_do_the_error_and_the_log_of_a_path_that_holds_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "syncro_async")
    async with client_of(App(Answer(404, {"message": "no"}))) as client:
        with pytest.raises(NotFoundError) as caught:
            await client.request("GET", f"/x/{KEY}")
    assert str(caught.value) == "GET /x/*** → 404: no"
    assert "/x/***" in caplog.text
    assert is_hidden(caplog.text)


async def test_nor_does_an_error_of_an_observer_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(event: object) -> None:
        raise RuntimeError(f"cannot send with {KEY}")

    async with client_of(App(), observers=[broken]) as client:
        await client.request("GET", "/x")
    assert "cannot send with ***" in caplog.text
    assert is_hidden(caplog.text)


def test_a_record_without_it_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "syncro_async")
    log_event(ImportInDoubt("account", "rows.journal", 3))
    (record,) = caplog.records
    assert record.args == ("rows.journal", 3)
    failure = RuntimeError("plain")
    logging.getLogger("syncro_async").error("it failed", exc_info=failure)
    assert "RuntimeError: plain" in caplog.text


def test_no_value_of_a_row_shows_it() -> None:
    assert RowProblem(2, "phone", "is no phone", KEY).text == "phone '***' is no phone"


def test_a_name_of_an_account_is_no_key() -> None:
    with pytest.raises(InvalidArgumentError, match="account looks like an API key") as caught:
        AccountJob(KEY)
    assert is_hidden(str(caught.value))


def test_the_keys_of_clients_are_known_whatever_they_look_like() -> None:
    dialect = Dialect("Acme", "ACME", "https://acme.invalid", "X-Key", (RateLimit(60, 60.0),))
    assert not is_hidden(masked(f"x {OTHER_KEY}"))
    AsyncClient(OTHER_KEY, dialect=dialect)
    assert masked(f"x {OTHER_KEY} y") == "x *** y"
    assert masked(f"x {OTHER_KEY.upper()} y") == "x *** y"
    assert is_hidden(masked(f"x {quote(OTHER_KEY, safe='')}"))


def test_the_variable_of_each_dialect_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    Dialect("Acme", "ACME_2", "https://acme.invalid", "X-Key", (RateLimit(60, 60.0),))
    monkeypatch.setenv("ACME_2_API_KEY", f"{OTHER_KEY}\n")
    assert without_keys(f"<{OTHER_KEY}>") == "<***>"


def test_of_many_keys_each_is_masked_and_the_oldest_are_forgotten() -> None:
    for number in range(1_001):
        remember_key(f"plain-key-{number:04}")
    remember_key("plain-key-0005")
    for number in (1, 5, 999, 1_000):
        assert masked(f"with PLAIN-key-{number:04} in it") == "with *** in it"
    assert masked("with plain-key-0000 in it") == "with plain-key-0000 in it"
    assert masked("with no key in it") == "with no key in it"
    remember_key("plain-key-2000")
    assert masked("with plain-key-0005 in it") == "with *** in it"


@pytest.mark.parametrize("word", ["key", "base_url", "environment", "https://host/v1"])
def test_a_word_or_a_url_is_masked_as_no_key(word: str) -> None:
    remember_key("https://host/v1")
    remember_key("word")
    remember_key("crm_environment")
    text = f"the {word} of this word is wrong"
    assert masked(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("crm_Qw8Er7Ty6Ui5Op4A", "***"),
        ("CRM_QW8ER7TY6UI5OP4A", "***"),
        (f"sk_live_{'aB' * 12}", "***"),
        ("x-sk_test_Qw8Er7Ty6Ui5Op4A.csv", "x-***.csv"),
        ("crm_contact_phone_number_2", "crm_contact_phone_number_2"),
        ("crm_sandbox_full", "crm_sandbox_full"),
        ("ana@example.com", "ana@example.com"),
        ("redis://user:password@host:6379/0", "redis://user:password@host:6379/0"),
        ("redis://u:p/w@x@host:6379/0", "redis://***@host:6379/0"),
        ("//u:pw@host", "//***@host"),
        ("https:/u:pw@host", "https:/***@host"),
        ("https://u:pw@host:44x/v1", "https://***@host:44x/v1"),
        ("crm_clientesativos2024.csv", "crm_clientesativos2024.csv"),
        ("crm_exportacaodeclientesdosul.csv", "crm_exportacaodeclientesdosul.csv"),
    ],
)
def test_what_looks_like_a_key_or_a_user_of_a_url_is_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://www.youtube.com/@canal",
        "https://www.google.com/maps/place/X/@-23.5,-46.6,15z",
        "https://site.com.br/contato?email=ana@exemplo.com",
        "https://site.com.br:443/contato?email=ana@exemplo.com",
        "mailto:ana@exemplo.com; mailto:bia@exemplo.com",
        "E-mail:ana@exemplo.com",
        "C:/Users/ana@emp/clientes.csv",
    ],
)
def test_an_address_of_somebody_is_no_user_of_a_url(text: str) -> None:
    assert masked(text) == text
    assert shown(text) == repr(text)


def test_a_base_url_without_a_scheme_shows_no_password() -> None:
    with pytest.raises(ConfigurationError, match=r"base_url='\*\*\*@host/v1' must look like"):
        AsyncClient(KEY, base_url="u:pw@host/v1")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (KEY, True),
        (f" {KEY}\n", True),
        ("Zk39dkWq81LmPz02XyTr", True),
        ("ACME_KEY_OF_CUSTOMER_2026", False),
        ("https://host", False),
        ("", False),
    ],
)
def test_a_whole_value_looks_like_a_key(value: str, expected: bool) -> None:  # noqa: FBT001
    assert looks_like_key(value) is expected


def test_a_value_is_masked_before_it_is_cut() -> None:
    long = f"{'x' * 100} {KEY}{'y' * 100}"
    assert is_hidden(shown(long))
    assert is_hidden(shown([Path(KEY), {KEY: 1}]))
    assert len(shown(long)) == 121
    assert is_hidden(shown(f"https://u:{KEY}@host{os.sep}"))


def test_errors_of_every_kind_mask_their_message() -> None:
    for kind in (SyncroError, ConfigurationError):
        assert is_hidden(str(kind(f"no {KEY}", method="GET", path=f"/{KEY}")))
    assert is_hidden(str(UnknownArgumentError("no", argument=KEY).argument))
