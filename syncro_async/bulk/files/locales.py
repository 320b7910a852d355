"""Describes how countries write numbers, dates and phones."""

from __future__ import annotations

from typing import Literal, NamedTuple

from syncro_async.errors import InvalidArgumentError


class Locale(NamedTuple):
    """How the values of a source are written.

    - `name`: the language and the country, such as `"pt-BR"`
    - `region`: the country of phones without a country code
    - `decimal`, `thousands`: the marks in numbers
    - `date_order`: the order of the parts of a date with slashes
    - `currencies`: what may stand before or behind an amount
    """

    name: str
    region: str
    decimal: str
    thousands: str
    date_order: Literal["day first", "month first"]
    currencies: tuple[str, ...]


LOCALES = (
    Locale("pt-BR", "BR", ",", ".", "day first", ("R$", "BRL")),
    Locale("en-US", "US", ".", ",", "month first", ("US$", "USD", "$")),
)


def locale_named(name: str | None) -> Locale | None:
    """The locale of that name, as `pt-BR`, `pt_BR` or `pt_BR.UTF-8`; None for None or blank.

    Raises `InvalidArgumentError` for one that is not known.
    """
    if name is None or not name.strip():
        return None
    plain = name.partition(".")[0].strip().replace("_", "-").casefold()
    for locale in LOCALES:
        if plain == locale.name.casefold():
            return locale
    known = ", ".join(locale.name for locale in LOCALES)
    message = f"locale {name!r} is not known; known are {known}"
    raise InvalidArgumentError(message, argument="locale")
