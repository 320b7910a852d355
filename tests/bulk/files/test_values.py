"""Cells to values: one table of what is read, and one of what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from syncro_async.bulk.files import values
from syncro_async.bulk.files.locales import locale_named

BR = locale_named("pt-BR")
US = locale_named("en_US.UTF-8")


@pytest.mark.parametrize(
    ("written", "plain", "brazil", "states"),
    [
        ("12", 12, 12, 12),
        (" -12.5 ", -12.5, -12.5, -12.5),
        ("12,5", 12.5, 12.5, None),
        ("1234,56", 1234.56, 1234.56, None),
        ("1234.56", 1234.56, 1234.56, 1234.56),
        ("1.234,56", 1234.56, 1234.56, None),
        ("1,234.56", 1234.56, None, 1234.56),
        ("1.234.567", 1234567, 1234567, None),
        ("1,234,567", 1234567, None, 1234567),
        ("1.500", None, 1500, 1.5),
        ("-1,500", None, -1.5, -1500),
        ("0.125", 0.125, 0.125, 0.125),
        ("0,125", 0.125, 0.125, None),
        ("19.90", 19.9, 19.9, 19.9),
        ("33.333333333333336", 100 / 3, 100 / 3, 100 / 3),
        ("0,5", 0.5, 0.5, None),
        ("12,0", 12, 12, None),
        ("1234567890123456.78", None, None, None),
        ("1.234.567.890.123.456,78", None, None, None),
        ("9007199254740993.0", None, None, None),
        ("1000.000", 1000.0, 1000.0, 1000.0),
        ("5 000,50", 5000.5, 5000.5, None),
        ("R$ 2.500,00", 2500.0, 2500.0, None),
        ("-R$ 5,00", -5.0, -5.0, None),
        ("R$ -5,00", -5.0, -5.0, None),
        ("1500,00 R$", 1500.0, 1500.0, None),
        ("BRL 5,00", 5.0, 5.0, None),
        ("R$ 1.500", None, 1500, None),
        ("$ 5", None, None, 5),
        ("US$ 1,500.00", None, None, 1500.0),
        ("5 USD", None, None, 5),
        ("€ 5", None, None, None),
        ("+5", 5, 5, 5),
        ("--5", None, None, None),
        ("-$-5", None, None, None),
        ("5-", None, None, None),
        ("12%", None, None, None),
        ("(5,00)", None, None, None),
        ("10 reais", None, None, None),
        ("1,2,3", None, None, None),
        ("1..2", None, None, None),
        ("12 34", None, None, None),
        ("1E+05", None, None, None),
        ("9" * 20, None, None, None),
        ("12345678901234567.5", None, None, None),
        ("", None, None, None),
        (7, 7, 7, 7),
        (7.5, 7.5, 7.5, 7.5),
        (True, None, None, None),
        ([1], None, None, None),
        (float("inf"), None, None, None),
    ],
)
def test_numbers(written: Any, plain: Any, brazil: Any, states: Any) -> None:
    for locale, expected in ((None, plain), (BR, brazil), (US, states)):
        if expected is None:
            with pytest.raises(ValueError, match=r"^(must|may|is) "):
                values.number(written, locale)
        else:
            assert values.number(written, locale) == expected


@pytest.mark.parametrize(
    ("written", "plain", "brazil", "states"),
    [
        ("1990-11-30", "1990-11-30", "1990-11-30", "1990-11-30"),
        ("1990-11-30 00:00:00", "1990-11-30", "1990-11-30", "1990-11-30"),
        ("1990-11-30T00:00:00.000Z", "1990-11-30", "1990-11-30", "1990-11-30"),
        ("2026/1/2", "2026-01-02", "2026-01-02", "2026-01-02"),
        ("30/11/1990", "1990-11-30", "1990-11-30", None),
        ("11/30/1990", "1990-11-30", None, "1990-11-30"),
        ("03/04/2026", None, "2026-04-03", "2026-03-04"),
        ("3.4.2026", None, "2026-04-03", "2026-03-04"),
        ("05/05/2026", "2026-05-05", "2026-05-05", "2026-05-05"),
        ("30/11/1990 00:00", "1990-11-30", "1990-11-30", None),
        ("31/02/2026", None, None, None),
        ("30/11/90", None, None, None),
        ("1990-11-30T03:00:00Z", None, None, None),
        ("45000", None, None, None),
        (45000, None, None, None),
        ("soon", None, None, None),
    ],
)
def test_dates(written: Any, plain: Any, brazil: Any, states: Any) -> None:
    for locale, expected in ((None, plain), (BR, brazil), (US, states)):
        if expected is None:
            with pytest.raises(ValueError, match=r"^(must|may|is) "):
                values.day(written, locale)
        else:
            assert values.day(written, locale) == expected


@pytest.mark.parametrize(
    ("read", "written", "locale"),
    [
        (values.number, "1.500", None),
        (values.number, "0,5", US),
        (values.day, "03/04/2026", None),
    ],
)
def test_what_is_ambiguous_names_the_locale(read: Any, written: str, locale: Any) -> None:
    with pytest.raises(values.RefusedValueError) as caught:
        read(written, locale)
    assert "{locale}" in str(caught.value.advice)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *((word, True) for word in ("Sim", "sim ", "S", "VERDADEIRO", "true", "1", "x", "Yes")),
        *((word, False) for word in ("Não", "nao", "N", "FALSO", "False", "0", "no")),
        (True, True),
        (0, False),
        (1.0, True),
    ],
)
def test_yes_and_no(word: Any, expected: object) -> None:
    assert values.yes_or_no(word, BR) is expected


@pytest.mark.parametrize("word", ["talvez", "2", "", "on/off", None])
def test_other_words_are_neither_yes_nor_no(word: Any) -> None:
    with pytest.raises(ValueError, match="must be true or false"):
        values.yes_or_no(word)


@pytest.mark.parametrize(
    ("read", "written", "value"),
    [
        (values.identifier, "12.0", 12),
        (values.identifier, "12,00", 12),
        (values.identifier, 12.0, 12),
        (values.identifier, 12, 12),
        (values.text, " 012 ", "012"),
        (values.text, "#1 em vendas", "#1 em vendas"),
        (values.text, 12, "12"),
        (values.text, 12.0, "12"),
        (values.text, 12.5, "12.5"),
        (values.text, "1E5", "1E5"),
        (values.text, "1.5E+3 m", "1.5E+3 m"),
        (values.text, "1E+5", "1E+5"),
        (values.mapping, '{"a": 1234567890123456.78}', {"a": "1234567890123456.78"}),
        (values.email, " ana@exemplo.com.br ", "ana@exemplo.com.br"),
        (values.email, "joão@exemplo.com", "joão@exemplo.com"),
        (values.names, "vip, enterprise;vip,,", ["vip", "enterprise"]),
        (values.names, '"vip","novo"', ["vip", "novo"]),
        (values.names, '["a, b"]', ["a, b"]),
        (values.names, ["a", " b "], ["a", "b"]),
        (values.mapping, '{"a": 1}', {"a": 1}),
        (values.phone, "+55 11 99999-0001", "+5511999990001"),
    ],
)
def test_what_fits_is_taken(read: Any, written: Any, value: Any) -> None:
    assert read(written) == value


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (values.identifier, "12.5"),
        (values.identifier, True),
        (values.identifier, "x"),
        (values.identifier, "9" * 20),
        (values.text, True),
        (values.text, ["a"]),
        (values.text, "#N/A"),
        (values.text, "1,23457E+13"),
        (values.text, "1.23457E+13"),
        (values.text, "9E+12"),
        (values.text, "-1E+100"),
        (values.mapping, '{"a": 1, "a": 2}'),
        (values.names, '["a", {"b": 1, "b": 2}]'),
        (values.text, 1.2345678901234568e19),
        (values.number, 1.2345678901234568e19),
        (values.text, "#valor!"),
        (values.text, float("nan")),
        (values.email, "ana"),
        (values.email, "ana@exemplo"),
        (values.email, "a b@c.d"),
        (values.email, 3),
        (values.email, "ana@exemplo.com; bia@exemplo.com"),
        (values.email, "ana@exemplo.com ::: bia@exemplo.com"),
        (values.email, "ana@exemplo.com bia@exemplo.com"),
        (values.names, 3),
        (values.names, [1]),
        (values.names, "[1"),
        (values.mapping, "x"),
        (values.mapping, "[1]"),
        (values.phone, True),
        (values.phone, None),
        (values.phone, 5511999990001),
    ],
)
def test_what_does_not_fit_is_refused(read: Any, written: Any) -> None:
    with pytest.raises(ValueError, match=r"^(must|is|holds|has) "):
        read(written)


def test_a_number_is_a_phone_where_its_country_is_known() -> None:
    assert values.phone(5511999990001.0, BR) == values.phone(5511999990001, BR) == "+5511999990001"
    with pytest.raises(ValueError, match="must be a whole number"):
        values.phone(5511999990001.5, BR)


def test_a_locale_is_found_by_its_usual_spellings() -> None:
    assert locale_named("PT_br") is BR
    assert locale_named(" ") is locale_named(None) is None
    with pytest.raises(ValueError, match="locale 'de' is not known; known are pt-BR, en-US"):
        locale_named("de")


@pytest.mark.parametrize("value", ["", " ", None, [], {}, float("nan")])
def test_a_blank_cell_holds_nothing(value: Any) -> None:
    assert values.is_blank(value)


def test_the_digits_of_a_phone() -> None:
    assert values.digits("+55 (11) 9-9") == "551199"
