"""Converts the values of arguments into those that a path, a query or a JSON body can carry."""

from __future__ import annotations

import errno
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, TypeGuard
from uuid import UUID

import msgspec

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async._internal.plain_text import shown
from syncro_async.errors import InvalidArgumentError

Scalar = bool | str | int | float | Decimal | datetime | date | time

# What a server keeps in an integer; beyond it, PHP and JavaScript go on with rounded numbers.
_INT_BITS = 64
# Digits before and after the point of the largest and the smallest float.
_MOST_DIGITS = 324
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# Values of these very types are what they are.
_PLAIN = frozenset({bool, str, int, float, type(None), list, tuple, dict})
# The types that msgspec need not turn into text: the table does it.
_KEPT = (datetime, date, time, Decimal, UUID, bytes, bytearray, memoryview)


def refusal(name: str, rule: str, value: object) -> InvalidArgumentError:
    """The error of an argument that must be something else than `value`."""
    return InvalidArgumentError(
        ArgumentText(Argument(name), f" must be {rule}, not {shown(value)}"), argument=name
    )


def scalar(name: str, value: object, rule: str = "a value that a request can carry") -> Scalar:
    """The single value that an argument stands for, as one of Python's own types.

    | given | becomes |
    |---|---|
    | a member of an Enum | its value |
    | a scalar of numpy or pandas, an array without dimensions | the same in Python's types |
    | a subclass of str, int, float, Decimal, datetime, date, time | the class itself |
    | a UUID | its text |

    Raises `InvalidArgumentError` for every other type (`rule` says what it must be), for NaN,
    infinities and missing values (`NaT`), for text with half a character (a lone surrogate), and
    for integers of more than 64 bits: none of them arrives as it is meant.
    """
    plain = unwrapped(value)
    for kind, convert in _TABLE:
        if isinstance(plain, kind):
            converted: Scalar = convert(name, plain)
            return converted
    raise refusal(name, rule, value)


def file_path(name: str, value: object) -> Path:
    """The path of a file. Raises `InvalidArgumentError` for what is no path, as a URL."""
    refuse_url(name, value)
    try:
        return Path(value).resolve()  # type: ignore[arg-type]  # what it is is checked here
    except (TypeError, ValueError):
        raise refusal(name, "the path of a file", value) from None


def refuse_url(name: str, value: object) -> None:
    """Raise `InvalidArgumentError` for a URL: as a path it would name a folder `https:`."""
    if isinstance(value, str) and _URL.match(value):
        raise refusal(name, "the path of a file on this machine", value)


def output_path(name: str, value: object) -> Path:
    """The path of a file to be written. Raises what `file_path` and `check_folder` raise."""
    path = file_path(name, value)
    check_folder(path)
    return path


def check_folder(path: Path) -> None:
    """Raise `OSError`, naming the file, when its folder is none."""
    folder = path.parent
    if not folder.exists():
        why = "its folder does not exist; correct the path, or create the folder"
        raise FileNotFoundError(errno.ENOENT, why, str(path))
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder.name} is a file, not a folder", str(path))


def unwrapped(value: Any) -> object:
    """The value of an Enum's member or of a numpy scalar; any other value as it is."""
    while isinstance(value, Enum):
        value = value.value
    numpy: Any = sys.modules.get("numpy")  # it is imported where there is a value of it
    if numpy is None or type(value) in _PLAIN:
        return value
    if isinstance(value, numpy.ndarray) and value.ndim == 0:
        return unwrapped(value[()])
    if isinstance(value, numpy.floating):
        # Its own digits: float32 has 3.1 where the float64 of the same value has 3.0999999046.
        return float(str(value))
    if isinstance(value, numpy.datetime64):
        return _from_datetime64(value)
    if isinstance(value, numpy.timedelta64):  # a kind of integer to numpy
        return value
    return value.item() if isinstance(value, numpy.integer | numpy.bool_) else value


def _from_datetime64(value: Any) -> object:
    """A date or a datetime; numpy's own conversion gives an int for nanoseconds."""
    exact = value.astype("datetime64[us]") if "[ns]" in str(value.dtype) else value
    found = exact.item()
    return found if isinstance(found, date) else value


def _text(name: str, value: str) -> str:
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(
            ArgumentText(
                Argument(name, shown(text)),
                f" holds half a character (a lone surrogate, at {error.start}): no UTF-8 text has"
                " one; read the text again with the encoding it was written in",
            ),
            argument=name,
        ) from None
    return text


def _int(name: str, value: int) -> int:
    number = int.__index__(value)
    if number.bit_length() >= _INT_BITS:
        raise refusal(name, f"an int of at most {_INT_BITS} bits", value)
    return number


def _float(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise InvalidArgumentError(
            f"{name}={shown(value)} is not a number JSON can carry; give None for no value",
            argument=name,
        )
    return float(value)


def _decimal(name: str, value: Decimal) -> Decimal:
    if not value.is_finite():
        raise InvalidArgumentError(
            f"{name}={shown(value)} is not a number JSON can carry; give None for no value",
            argument=name,
        )
    if abs(value.adjusted()) > _MOST_DIGITS or len(value.as_tuple().digits) > _MOST_DIGITS:
        raise refusal(name, f"a number of at most {_MOST_DIGITS} digits", value)
    return Decimal(value)


def _datetime(name: str, value: datetime) -> datetime:
    try:
        exact = datetime.combine(value.date(), value.time(), value.tzinfo)
    except (ValueError, TypeError):  # pandas.NaT
        raise InvalidArgumentError(
            ArgumentText(
                Argument(name, shown(value)), " is no point in time; give None for no value"
            ),
            argument=name,
        ) from None
    return exact.replace(fold=value.fold)


def _date(_: str, value: date) -> date:
    return date(value.year, value.month, value.day)


def _time(_: str, value: time) -> time:
    return value


# The first type that fits decides: a bool is an int as well, a datetime a date.
_TABLE: tuple[tuple[type, Callable[[str, Any], Scalar]], ...] = (
    (bool, lambda _, value: value),
    (str, _text),
    (int, _int),
    (float, _float),
    (Decimal, _decimal),
    (datetime, _datetime),
    (date, _date),
    (time, _time),
    (UUID, lambda _, value: str(value)),
)
_TYPES = tuple(kind for kind, _ in _TABLE)


def format_datetime(name: str, value: datetime | date) -> str:
    """ISO 8601: a datetime in UTC with `Z`, a date as it is.

    Raises `InvalidArgumentError` for a datetime without a time zone, and for one that UTC has in
    the year 0 or 10000.
    """
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.utcoffset() is None:
        raise InvalidArgumentError(
            f"{name}={shown(value)} has no time zone; give one, for instance .replace(tzinfo=UTC)",
            argument=name,
        )
    try:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise refusal(name, "in the years 1 to 9999 of UTC", value) from None


def query_text(name: str, value: object) -> str:
    """The value as text in a query: booleans are 1 and 0, datetimes ISO 8601 in UTC."""
    plain = _sendable(name, value, "a query parameter")
    if isinstance(plain, bool):
        return "1" if plain else "0"
    if isinstance(plain, date):
        return format_datetime(name, plain)
    if isinstance(plain, Decimal):
        return f"{plain:f}"
    return plain.isoformat() if isinstance(plain, time) else str(plain)


def _sendable(name: str, value: object, what: str) -> Scalar:
    plain = unwrapped(value)
    if not isinstance(plain, _TYPES):
        raise InvalidArgumentError(
            f"{name} cannot be sent as {what}: {type(plain).__name__} {shown(value)}",
            argument=name,
        )
    return scalar(name, plain)


def json_body(content: object) -> Any:
    """The content for a JSON body: plain objects, lists and scalars, at any depth; None is null.

    Maps become objects. Lists, tuples, sets, arrays and series become arrays. Structs and
    dataclasses become objects of their fields. Every other value is a `scalar`.

    Raises `InvalidArgumentError` as `scalar` does, naming the place (`tags[1]`), for the key of a
    map that is neither a text nor an int, and for a structure that contains itself.
    """
    try:
        return _json_value("", content)
    except RecursionError:
        raise InvalidArgumentError(
            "json is nested too deeply, or contains itself", argument="json"
        ) from None


def _json_value(name: str, value: object) -> Any:
    """`name` is where the value stands; the whole body has none, its fields are the arguments."""
    plain = unwrapped(value)
    if plain is None:
        return None
    if isinstance(plain, msgspec.Struct) or (is_dataclass(plain) and not isinstance(plain, type)):
        plain = _fields_of(name or "json", plain)
    if isinstance(plain, Mapping):
        return {
            _key(name, key): _json_value(f"{name}[{shown(key)}]" if name else str(key), item)
            for key, item in plain.items()
        }
    place = name or "json"
    if _is_several(plain):
        return [_json_value(f"{place}[{index}]", item) for index, item in enumerate(plain)]
    found = _sendable(place, plain, "JSON")
    if isinstance(found, date):
        return format_datetime(place, found)
    return found.isoformat() if isinstance(found, time) else found


def _is_several(value: object) -> TypeGuard[Iterable[object]]:
    """Whether it goes as an array; text and iterators, which are used up once, do not."""
    if isinstance(value, str | bytes | bytearray | memoryview):
        return False
    has_items = isinstance(value, Sequence | AbstractSet)
    return has_items or (isinstance(value, Iterable) and hasattr(value, "dtype"))


def _key(name: str, key: object) -> str:
    place = f"a key of {name or 'json'}"
    found = scalar(place, key)
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise refusal(place, "a str or an int", key)
    return str(found)


def _fields_of(name: str, value: object) -> object:
    """The fields of a struct or a dataclass under their names on the wire."""
    try:
        return msgspec.to_builtins(value, builtin_types=_KEPT, enc_hook=_supported)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(
            f"{name} cannot be sent as JSON: {error}", argument=name
        ) from error


def _supported(value: object) -> object:
    plain = unwrapped(value)
    if plain is value:
        raise TypeError(f"{type(value).__name__} has no form in a request")
    return plain
