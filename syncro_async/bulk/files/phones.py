"""Writes phone numbers in E.164, or says why a text is no single phone number."""

from __future__ import annotations

import re
import unicodedata
from importlib import import_module
from typing import Any

from syncro_async.bulk.files.locales import Locale
from syncro_async.errors import ConfigurationError

_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE][+-]?\d+")
_DATE = re.compile(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}|\d{4}[/.-]\d{1,2}[/.-]\d{1,2}(?:[T ].*)?")
_BETWEEN_TWO = re.compile(r"[;,|\n]|:::|\s/\s|\d/\s*\(?\d|\s(?:e|ou|and|or)\s", re.IGNORECASE)
_EXTENSION = re.compile(r"(?:ramal|extens\w*|ext|x|#)\.?\s*\d+$", re.IGNORECASE)
# Also with the dashes that word processors write.
_ALLOWED = re.compile(r"\+?[\d\s()./\-\u2010-\u2015\u2212]+")
_MOST_DIGITS = 15
_FEWEST_DIGITS = 8
_LOCALE = "give the country of the numbers with {locale}"
# A mobile number of Brazil before the ninth digit: the area code, then eight digits.
_OLD_MOBILE = re.compile(r"[1-9][1-9][6-9]\d{7}")


class PhoneError(ValueError):
    """The text is no single phone number; `advice` is what to do next."""

    def __init__(self, reason: str, advice: str | None = None) -> None:
        super().__init__(reason)
        self.advice = advice


def e164(text: str, locale: Locale | None) -> str:
    """The number in E.164, such as `+5511999990001`; no digit is added or left out.

    `locale` is the country of numbers without `+`; None: they are refused. Raises `PhoneError`,
    and `ConfigurationError` where a number needs the extra `files`.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    _check_form(plain)
    digits = digits_of(plain)
    if len(digits) > _MOST_DIGITS:
        raise PhoneError(f"has {len(digits)} digits; a phone number has at most {_MOST_DIGITS}")
    if plain.startswith("+"):
        return _international(plain, digits)
    if locale is None:
        raise PhoneError("has no country code, as in +55 11 99999-0001", _LOCALE)
    if digits.startswith("00"):
        return _international(f"+{digits[2:]}", digits[2:])
    return _national(plain, digits, locale)


def phone_key(stored: str, locale: Locale | None) -> str:
    """What tells two phones apart: the digits in E.164 where they can be known, else the digits."""
    try:
        return e164(stored, locale).removeprefix("+")
    except (PhoneError, ConfigurationError):
        return digits_of(stored)


def digits_of(text: str) -> str:
    """The decimal digits of a text."""
    return "".join(character for character in text if character.isdecimal())


def _check_form(text: str) -> None:
    if _SCIENTIFIC.fullmatch(text):
        raise PhoneError("is a number whose last digits a spreadsheet has cut off")
    if _DATE.fullmatch(text):
        raise PhoneError("is a date")
    if _BETWEEN_TWO.search(text) or text.count("+") > 1:
        raise PhoneError("holds more than one number: leave one in the cell")
    if _EXTENSION.search(text):
        raise PhoneError("has an extension, which a phone number in E.164 cannot hold")
    if not _ALLOWED.fullmatch(text):
        raise PhoneError("is no phone number")


def _international(text: str, digits: str) -> str:
    library = _library()
    if library is None:
        if "(0)" in text or len(digits) < _FEWEST_DIGITS:
            raise PhoneError("is no phone number of any country")
        return f"+{digits}"
    number = _parsed(library, text, None)
    if number is None or not _is_possible(library, number):
        raise PhoneError("is no phone number of any country")
    return _written(library, number)


def _national(text: str, digits: str, locale: Locale) -> str:
    library = _library()
    if library is None:
        raise ConfigurationError(
            f"the phone {text!r} has no country code, and to read it needs an extra:"
            ' pip install "syncro-async[files]"'
        )
    number = _parsed(library, text, locale.region)
    if number is not None and library.is_valid_number(number):
        return _written(library, number)
    if locale.region == "BR" and _OLD_MOBILE.fullmatch(digits):
        return f"+55{digits}"
    raise PhoneError(f"is no phone number of {locale.region} with its area code")


def _parsed(library: Any, text: str, region: str | None) -> Any:
    try:
        return library.parse(text, region)
    except library.NumberParseException:
        return None


def _is_possible(library: Any, number: Any) -> bool:
    possible = library.is_possible_number_with_reason(number)
    return bool(possible == library.ValidationResult.IS_POSSIBLE)


def _written(library: Any, number: Any) -> str:
    return str(library.format_number(number, library.PhoneNumberFormat.E164))


def _library() -> Any:
    try:
        return import_module("phonenumbers")
    except ModuleNotFoundError:
        return None
