"""Converts the text of a cell to the value of a field; `ValueError` says why it cannot."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any

import msgspec

from syncro_async.bulk.files import phones
from syncro_async.bulk.files.cleaning import clean
from syncro_async.bulk.files.exact import is_exact
from syncro_async.bulk.files.json_text import ONE_OF_THEM, RepeatedNameError, decoded
from syncro_async.bulk.files.locales import Locale

_PLAIN = re.compile(r"[+-]?\d+([.,]\d+)?")
# 1.234 is a thousand and more in one country and little more than one in another.
_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?")
_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_SPACES = re.compile(r"[+-]?[1-9]\d{0,2}( \d{3})+([.,]\d+)?")
_SCIENTIFIC = re.compile(r"[+-]?\d+([.,]\d+)?[eE][+-]?\d+")
# A spreadsheet writes a long number so in a .csv file.
_CUT_TEXT = re.compile(r"[+-]?\d([.,]\d+)?E\+\d{2,3}")
_CUT_OFF = "is a number whose last digits a spreadsheet has cut off"
_AS_TEXT = "make the column one of texts in the spreadsheet, and write the number again"
_AMOUNT = re.compile(
    r"(?P<sign>[+-]?)\s*(?P<before>[A-Za-z]{0,3}\s?[$€£¥]?)\s*(?P<number>[+-]?\d[\d., ]*?)"
    r"\s*(?P<after>[A-Za-z]{0,3}\s?[$€£¥]?)"
)
_WHOLE = re.compile(r"[+-]?\d+([.,]0+)?")
_LARGEST = 2**63 - 1
# The most digits that a number of JSON and of a spreadsheet holds exactly.
_EXACT = 2**53
_NOT_KEPT = "must be a number that can be kept exactly"
_FEWER_DIGITS = "write it with at most 15 digits"
_EMAIL = re.compile(r"[^\s@,;:<>()\[\]\"]+@[^\s@,;:<>()\[\]\"]+\.[^\s@,;:<>()\[\]\"]+")
_MANY_EMAILS = re.compile(r"@[^@]*[\s,;:/|][^@]*@", re.DOTALL)
_MIDNIGHT = r"(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_DAY = re.compile(rf"(\d{{4}})[-/](\d{{1,2}})[-/](\d{{1,2}}){_MIDNIGHT}")
_SLASHED = re.compile(rf"(\d{{1,2}})[/.-](\d{{1,2}})[/.-](\d{{4}}){_MIDNIGHT}")
_MONTHS = 12
_YES = frozenset({"true", "1", "1.0", "yes", "sim", "verdadeiro", "y", "s", "v", "x"})
_NO = frozenset({"false", "0", "0.0", "no", "não", "nao", "falso", "n", "f"})

# What the cells of a formula that cannot be computed show, in English and Portuguese.
_ERRORS = frozenset(
    {
        *("#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!"),
        *("#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!", "#CONNECT!", "#GETTING_DATA"),
        *("#N/D", "#VALOR!", "#NOME?", "#NÚM!", "#NULO!"),
    }
)

LOCALE_ADVICE = "say how the values are written with {locale}"


class RefusedValueError(ValueError):
    """A value that a field does not take; `advice` is what to do next, None for nothing special."""

    def __init__(self, reason: str, advice: str | None = None) -> None:
        super().__init__(reason)
        self.advice = advice


def number(value: Any, locale: Locale | None = None) -> float:
    """A number, from text with a decimal point or comma, and with the locale's currency.

    Without a locale `1.234` is refused: it is a thousand in one country, and not in another.
    """
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RefusedValueError("must be a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise RefusedValueError("must be a finite number")
        return _exact(value) if isinstance(value, float) else identifier(value)
    text = _without_currency(value.strip(), locale)
    if _SCIENTIFIC.fullmatch(text):
        raise RefusedValueError(_CUT_OFF)
    if _SPACES.fullmatch(text):
        text = text.replace(" ", "")
    plain = _plain_number(text) if locale is None else _local_number(text, locale)
    if "." not in plain:
        return identifier(plain)
    if not is_exact(plain):
        raise RefusedValueError(_NOT_KEPT, _FEWER_DIGITS)
    return _exact(float(plain))


def _exact(value: float) -> float:
    if abs(value) >= _EXACT:
        raise RefusedValueError(_NOT_KEPT, _FEWER_DIGITS)
    return value


def _plain_number(text: str) -> str:
    if _AMBIGUOUS.fullmatch(text):
        raise RefusedValueError("may mean thousands or a fraction", LOCALE_ADVICE)
    if _PLAIN.fullmatch(text):
        return text.replace(",", ".")
    if _POINTS.fullmatch(text):
        return text.replace(".", "").replace(",", ".")
    if _COMMAS.fullmatch(text):
        return text.replace(",", "")
    raise RefusedValueError("must be a number")


def _local_number(text: str, locale: Locale) -> str:
    grouped = _POINTS if locale.thousands == "." else _COMMAS
    if grouped.fullmatch(text) or (_PLAIN.fullmatch(text) and locale.decimal in text):
        return text.replace(locale.thousands, "").replace(locale.decimal, ".")
    # 1234.5 has too many digits for a thousands mark: programs write it so in every country.
    if _PLAIN.fullmatch(text) and "," not in text:
        return text
    if any(form.fullmatch(text) for form in (_PLAIN, _POINTS, _COMMAS)):
        raise RefusedValueError(f"is not written as {locale.name} writes numbers", LOCALE_ADVICE)
    raise RefusedValueError("must be a number")


def _without_currency(text: str, locale: Locale | None) -> str:
    """The text without a currency: one of the locale, or without a locale `R$`."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        return text
    marks = [mark for mark in (found["before"].strip(), found["after"].strip()) if mark]
    known = ("R$", "BRL") if locale is None else locale.currencies
    for mark in marks:
        if mark.upper() not in known:
            if mark[-1] in "$€£¥":
                reason = f"is an amount in {mark}, and no field of a lead keeps a currency"
                raise RefusedValueError(reason, LOCALE_ADVICE if locale is None else None)
            return text
    sign = found["sign"]
    return f"{sign}{found['number']}" if not (sign and found["number"][0] in "+-") else text


def identifier(value: Any, locale: Locale | None = None) -> int:  # noqa: ARG001  # as the others
    """A whole number; spreadsheets and data frames make 12.0 of 12."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(re.split("[.,]", value.strip())[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise RefusedValueError("must be a whole number")
    if abs(value) > _LARGEST:
        raise RefusedValueError("must be a number that fits 64 bits")
    return value


def text(value: Any, locale: Locale | None = None) -> str:  # noqa: ARG001  # as the others
    """A text without the blanks around it; a number as it is written, 12.0 as 12."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RefusedValueError("must be a text")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RefusedValueError("must be a text")
        if abs(value) >= _EXACT:
            raise RefusedValueError(_CUT_OFF, _AS_TEXT)
        return str(int(value)) if value.is_integer() else repr(value)
    written = str(value).strip()
    if _CUT_TEXT.fullmatch(written):
        raise RefusedValueError(_CUT_OFF, _AS_TEXT)
    _refuse_error(written)
    return written


def _refuse_error(written: str) -> None:
    if written.startswith("#") and written.upper() in _ERRORS:
        raise RefusedValueError("is an error of a spreadsheet")


def phone(value: Any, locale: Locale | None = None) -> str:
    """A phone in E.164; what is no single number is refused, also one of a cut-off number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(identifier(value))
    if not isinstance(value, str):
        raise RefusedValueError("is no phone number")
    return phones.e164(value.strip(), locale)


def email(value: Any, locale: Locale | None = None) -> str:  # noqa: ARG001  # as the others
    """One address of the form name@host.domain."""
    if not isinstance(value, str):
        raise RefusedValueError("is no email address")
    written = value.strip()
    if _MANY_EMAILS.search(written):
        raise RefusedValueError(
            "holds several addresses: leave one in the cell",
            "or leave the row out with {on_bad_row}",
        )
    if not _EMAIL.fullmatch(written):
        raise RefusedValueError("is no email address")
    return written


def names(value: Any, locale: Locale | None = None) -> list[str]:  # noqa: ARG001  # as the others
    """Several texts: a list, JSON of one, or one text with commas or semicolons between them."""
    if isinstance(value, str):
        _refuse_error(value.strip())
        value = json(value) if value.lstrip().startswith("[") else re.split("[,;]", value)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RefusedValueError("must be a list of texts")
    bare = (clean(item, "strict").value if '"' in item else item.strip() for item in value)
    return list(dict.fromkeys(filter(None, bare)))


def mapping(value: Any) -> dict[str, Any]:
    """A mapping from names to values, or JSON of one."""
    if isinstance(value, str):
        value = json(value)
    if not isinstance(value, dict):
        raise RefusedValueError("must be a mapping from field names to values")
    return value


def json(value: str) -> Any:
    """What a text says in JSON."""
    try:
        return decoded(value)
    except RepeatedNameError as error:
        reason = f"is JSON in which {error.name!r} stands twice in one object"
        raise RefusedValueError(reason, ONE_OF_THEM) from None
    except (msgspec.DecodeError, RecursionError):
        raise RefusedValueError("is no JSON") from None


def day(value: Any, locale: Locale | None = None) -> str:
    """A date as YYYY-MM-DD, from this form or one with slashes.

    Without a locale `03/04/2026` is refused: it is a day of March in one country, of April in
    another.
    """
    written = value.strip() if isinstance(value, str) else ""
    if found := _DAY.fullmatch(written):
        parts = int(found[1]), int(found[2]), int(found[3])
    elif found := _SLASHED.fullmatch(written):
        parts = _slashed(int(found[1]), int(found[2]), int(found[3]), locale)
    else:
        raise RefusedValueError("must be a date, YYYY-MM-DD")
    try:
        return date(*parts).isoformat()
    except ValueError:
        raise RefusedValueError("is no day of the calendar") from None


def _slashed(first: int, second: int, year: int, locale: Locale | None) -> tuple[int, int, int]:
    if locale is None:
        if first <= _MONTHS and second <= _MONTHS and first != second:
            raise RefusedValueError("may be day/month or month/day", LOCALE_ADVICE)
        day_first = first > _MONTHS
    else:
        day_first = locale.date_order == "day first"
    return (year, second, first) if day_first else (year, first, second)


def yes_or_no(value: Any, locale: Locale | None = None) -> bool:  # noqa: ARG001  # as the others
    """A bool, or a word for one, in English or Portuguese."""
    word = str(value).strip().casefold()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise RefusedValueError("must be true or false")


def digits(value: str) -> str:
    """The digits of a phone: what tells two of them apart."""
    return phones.digits_of(value)


def is_blank(value: Any) -> bool:
    """Whether a cell holds nothing, which no update can write (API reference, 'Leads', upsert).

    Data frames write NaN for it.
    """
    if isinstance(value, str):
        return not value.strip()
    return value is None or value in ([], {}) or value != value  # noqa: PLR0124  # NaN is not itself
