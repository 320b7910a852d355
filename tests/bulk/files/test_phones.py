"""Phones as people write them, with and without a locale."""

from __future__ import annotations

import sys

import pytest

from syncro_async.bulk.files.locales import locale_named
from syncro_async.bulk.files.phones import PhoneError, e164, phone_key
from syncro_async.errors import ConfigurationError

BR = locale_named("pt-BR")
US = locale_named("en-US")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+55 (11) 99999-0001", "+5511999990001"),
        ("+55 (0) 11 99999-0001", "+5511999990001"),
        ("+55 11 9 9999 0001", "+5511999990001"),
        ("+551133334444", "+551133334444"),
        ("+558188887777", "+558188887777"),  # no ninth digit is added
        ("+351 912 345 678", "+351912345678"),
        ("+1 202-555-0123", "+12025550123"),
    ],
)
def test_a_number_with_its_country_needs_no_locale(written: str, number: str) -> None:
    assert e164(written, None) == e164(written, BR) == e164(written, US) == number


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("5511999990001", "+5511999990001"),
        ("(11) 99999-0001", "+5511999990001"),
        ("11.99999.0001", "+5511999990001"),
        ("011 99999-0001", "+5511999990001"),
        ("0 15 11 99999-0001", "+5511999990001"),
        ("0055 11 99999-0001", "+5511999990001"),
        ("00 1 202 555 0123", "+12025550123"),
        ("55999990001", "+5555999990001"),  # 55 is an area code, too
        ("5555999990001", "+5555999990001"),
        ("(11) 3333-4444", "+551133334444"),
        ("(11) 9999-0001", "+551199990001"),
        ("０１１ ９９９９９-０００１", "+5511999990001"),  # noqa: RUF001
    ],
)
def test_a_number_of_brazil_gets_its_country(written: str, number: str) -> None:
    assert e164(written, BR) == number
    with pytest.raises(PhoneError, match="has no country code") as caught:
        e164(written, None)
    assert "{locale}" in str(caught.value.advice)


def test_another_locale_has_another_country() -> None:
    assert e164("(202) 555-0123", US) == "+12025550123"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("5,51199E+12", "last digits"),
        ("5.51199e12", "last digits"),
        ("01/01/2026", "is a date"),
        ("2026-01-01 00:00:00", "is a date"),
        ("(11) 3333-4444 / 99999-0008", "more than one number"),
        ("(11) 3333-4444/99999-0008", "more than one number"),
        ("11 3333-4444 ou 11 3333-5555", "more than one number"),
        ("+5511999990001 +5511999990002", "more than one number"),
        ("+5511999990001; +5511999990002", "more than one number"),
        ("+5511999990001 ::: 5511999990002", "more than one number"),
        ("5511999990001555119999900", "has 25 digits"),
        ("(11) 3333-4444 ramal 12", "has an extension"),
        ("+1 202 555 0123 x5", "has an extension"),
        ("call me", "is no phone number"),
        ("11 FLORES", "is no phone number"),
        ("+", "is no phone number"),
        ("", "is no phone number"),
        ("+55", "no phone number of any country"),
        ("+999 12345678", "no phone number of any country"),
        ("00000000000", "no phone number of any country"),
        ("11111111111", "no phone number of BR"),
        ("99999-0001", "no phone number of BR with its area code"),
        ("12345", "no phone number of BR"),
        ("351912345678", "no phone number of BR"),
        ("119999900011", "no phone number of BR"),
    ],
)
def test_what_is_no_single_number_is_refused(written: str, says: str) -> None:
    with pytest.raises(PhoneError, match=says):
        e164(written, BR)


def test_stored_spellings_of_one_number_have_one_key() -> None:
    spellings = ("+5511999990001", "(11) 99999-0001", "5511999990001", "011 99999-0001")
    assert {phone_key(one, BR) for one in spellings} == {"5511999990001"}
    assert phone_key("(11) 99999-0001", None) == "11999990001"
    assert phone_key("ramal 12", BR) == "12"


def test_without_the_library_numbers_with_their_country_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    assert e164("+55 (11) 99999-0001", None) == "+5511999990001"
    for written in ("+55 (0) 11 99999-0001", "+12"):
        with pytest.raises(PhoneError, match="no phone number of any country"):
            e164(written, None)
    with pytest.raises(ConfigurationError, match=r"syncro-async\[files\]"):
        e164("11 99999-0001", BR)
    assert phone_key("11 99999-0001", BR) == "11999990001"
