"""Compares names, emails and phones as people and servers spell them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

from syncro_async.bulk.files import values

# Digits that tell a phone, however its country and its area are written.
_SUBSCRIBER = 8
# Digits of a phone with its area, and the most that a country code has.
_NATIONAL = 10
_COUNTRY = 3


class Person(NamedTuple):
    """What a server shows of one lead: None for what it does not show.

    `id` is None where not even that can be read.
    """

    id: int | None
    name: str | None = None
    email: str | None = None
    phone: str | None = None


def same_name(one: str, other: str) -> bool:
    """Return whether two names differ at most in capitals, spaces and the form of their accents."""
    return normal_name(one) == normal_name(other)


def normal_name(name: str) -> str:
    """Return the name without what servers change in it: capitals, spaces, forms of accents."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def normal_email(email: str) -> str:
    """Return the address without capitals and without the blanks around it."""
    return email.strip().casefold()


def stored_email(stored: str, sent: str) -> bool:
    """Return whether a server that was sent one address can have stored the other.

    Some servers write addresses in lower case, and some drop what follows a plus sign.
    """
    shown, given = normal_email(stored), normal_email(sent)
    return shown in {given, without_tag(given)}


def without_tag(email: str) -> str:
    """Return the address without what follows a plus sign in front of the `@`."""
    local, at, domain = email.rpartition("@")
    return f"{local.partition('+')[0]}{at}{domain}"


def phone_digits(phone: str) -> str:
    """Return the digits of a phone without the zeros in front."""
    return values.digits(phone).lstrip("0")


def phone_index(phone: str) -> str:
    """Return what two spellings of a phone have in common: its last digits."""
    return phone_digits(phone)[-_SUBSCRIBER:]


def same_phone(one: str, other: str) -> bool:
    """Return whether two spellings are of one phone: they differ at most in the country code."""
    short, long = sorted((phone_digits(one), phone_digits(other)), key=len)
    if short == long:
        return True
    return len(short) >= _NATIONAL and len(long) - len(short) <= _COUNTRY and long.endswith(short)


def stored_phone(stored: str, sent: str) -> bool:
    """Return whether a server that was sent one phone can have stored the other.

    Some servers add the country code, and some remove it.
    """
    shown, given = phone_digits(stored), phone_digits(sent)
    shorter = min(len(shown), len(given))
    if shown == given:
        return bool(given)
    return shorter >= _SUBSCRIBER and shown[-shorter:] == given[-shorter:]


def is_made_of(person: Person, fields: Mapping[str, Any]) -> bool | None:
    """Return whether the server has made this lead of the fields of a row.

    True: the row's name and keys are the lead's. False: they are another person's. None: it is not
    certain, because only some of them agree or the lead cannot be read.
    """
    if person.name is None and person.email is None and person.phone is None:
        return None
    email, phone, name = fields.get("email"), fields.get("phone"), fields.get("name")
    keys = []
    if email is not None:
        keys.append(person.email is not None and stored_email(person.email, email))
    if phone is not None:
        keys.append(person.phone is not None and stored_phone(person.phone, phone))
    named = name is None or (person.name is not None and same_name(person.name, name))
    if not keys:
        return named and not person.email and not person.phone
    if all(keys) and named:
        return True
    return None if any(keys) else False
