"""Decides what a cell of a workbook shows: its value, another text, or what cannot be said."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from syncro_async.bulk.files.number_formats import Section, section_for, sections_of
from syncro_async.bulk.files.rows import Unclear

_PLAIN = re.compile(r"(?:0|#|#,##[0#])(?:\.(?P<decimals>[0#?]+))?")
_CURRENCY = re.compile(r"(?:[A-Z]{1,3}\$|[$€£¥]|[A-Z]{3}|\s)*")
_SIGNS = str.maketrans("", "", "-()")
_CLOCK = re.compile(r"\[(h+)\]:(mm)(?::(ss))?")
_MOST_DIGITS = 10**15
_DAY = 86_400
# The reader rounds moments to milliseconds, and Excel's numbers are no whole seconds.
_NOISE = timedelta(milliseconds=2)
_ANY_DAY = date(2000, 1, 1)
_DAY_UNITS = {"y", "month", "d"}
_DAY_PARTS = {*_DAY_UNITS, "weekday"}
_CLOCK_UNITS = {"h", "minute", "s"}
# The calendar of Excel has two days that never were.
_NO_DAYS = {0: "1900-01-00", 60: "1900-02-29"}
_AS_TEXT = (
    "format the column as text in the spreadsheet, and write the values as they are to be sent"
)


class Shown(NamedTuple):
    """What a cell shows; `unclear`: why `value` is not surely that, None where it is."""

    value: Any
    unclear: Unclear | None = None


def shown_text(value: Any, code: str) -> Shown:
    """What a cell with a text shows under its number format."""
    sections = sections_of(code)
    section = sections[3] if len(sections) > 3 else None
    if section is None:
        holders = (one for one in sections if "@" in one.places)
        section = next(holders, None)
    if section is None:
        return Shown(value)
    bare = [part.text for part in section.parts if part.kind != "literal" or part.text.strip()]
    return Shown(value, None if bare in (["@"], ["general"]) else _refusal(code))


def shown_number(value: Any, raw: str, code: str, *, from_1904: bool) -> Shown:
    """What a cell with a number or a date shows.

    - `value`: as the reader has it: a number, or what Excel calls a date
    - `raw`: the number as it is stored
    """
    number = float(raw)
    section = section_for(number, code)
    if section is None or "other" in section.kinds:
        return Shown(value, _refusal(code, in_text=True))
    if "elapsed" in section.kinds:
        return _elapsed(value, number, section, code)
    if "date" in section.kinds:
        return _date(value, number, section, code, from_1904=from_1904)
    if "%" in section.places:
        return _percent(number, section, code)
    return _number(value, number, section, code)


def _refusal(code: str, *, in_text: bool = False) -> Unclear:
    reason = f"has the number format {code}, which shows the stored value in another way"
    return Unclear(reason, _AS_TEXT, in_text=in_text)


def _number(value: Any, number: float, section: Section, code: str) -> Shown:
    literals, places = section.literals, section.places
    hides_sign = number < 0 and len(sections_of(code)) > 1 and not set("-(") & set(literals)
    if _is_plain(number, section) and not hides_sign:
        return Shown(value)
    if section.kinds == {"literal"}:
        return _constant(value, literals, code)
    digits = _digits(number, section)
    if digits is not None:
        return Shown(digits)
    is_scaled = places.partition(".")[0].endswith(",") or places.endswith(",")
    hides = not section.parts or (number == 0 and "0" not in places and not literals.strip())
    changes = is_scaled or hides or any(letter.isdigit() for letter in literals)
    return Shown(value, _refusal(code, in_text=not changes))


def _is_plain(number: float, section: Section) -> bool:
    """Whether a number is shown as it is, with thousands, decimals and a currency at most."""
    literals, places = section.literals, section.places
    if number < 0:
        literals = literals.translate(_SIGNS)
    if not _CURRENCY.fullmatch(literals):
        return False
    if "general" in section.kinds or places == "@":
        return True
    plain = _PLAIN.fullmatch(places)
    if plain is None or (number == 0 and "0" not in places):
        return False
    shown = round(number, len(plain["decimals"] or ""))
    return not section.literal_inside and abs(shown - number) < 1e-9 * max(1, abs(number))


def _constant(value: Any, literals: str, code: str) -> Shown:
    """A format that shows the same text for every number, such as `[=1]"Sim"`."""
    if any(letter.isalnum() for letter in literals):
        return Shown(literals)
    return Shown(value, _refusal(code, in_text=True))


def _digits(number: float, section: Section) -> str | None:
    """The digits in the places of a format such as `"("00") "0000`; None where not sure."""
    places = section.places
    is_whole = number.is_integer() and 0 <= number < _MOST_DIGITS
    if (
        not is_whole
        or not places
        or places.strip("0#")
        or (section.has_letters and len(places) == 1)
    ):
        return None
    digits = str(int(number)) if number else ""
    lacking = len(places) - len(digits)
    if "#" in places[: max(lacking, 0)]:
        return None
    left = iter(digits.rjust(len(places), "0"))
    ahead = "".join(next(left) for _ in range(-lacking))
    shown = []
    for part in section.parts:
        if part.kind == "literal":
            shown.append(part.text)
        else:
            shown.append(ahead + next(left))
            ahead = ""
    return "".join(shown)


def _percent(number: float, section: Section, code: str) -> Shown:
    """A text in every field: `0.15` is not what the sheet shows, and `15%` is no number."""
    places = section.places
    decimals = sum(place in "0#?" for place in places.partition(".")[2])
    hundredths = round(number * 100, 9)
    shown = f"{hundredths:.{decimals}f}%"
    is_sure = places == "0%" and not section.literals and number >= 0
    # The decimal mark is that of the reader's settings, which the file does not say.
    is_exact = hundredths.is_integer()
    return Shown(shown, None if is_sure and is_exact else _refusal(code))


def _elapsed(value: Any, number: float, section: Section, code: str) -> Shown:
    form = "".join(
        f"[{part.text}]" if part.kind == "elapsed" else part.text for part in section.parts
    )
    clock = _CLOCK.fullmatch(form)
    if clock is None or number < 0:
        return Shown(str(value), _refusal(code))
    seconds = round(number * _DAY)
    hours, rest = divmod(seconds, 3600)
    shown = f"{hours:0{len(clock[1])}}:{rest // 60:02}"
    is_exact = abs(number * _DAY - seconds) < _NOISE.total_seconds()
    if clock[3]:
        shown += f":{rest % 60:02}"
    elif rest % 60:
        is_exact = False
    return Shown(shown, None if is_exact else _refusal(code))


def _date(value: Any, number: float, section: Section, code: str, *, from_1904: bool) -> Shown:
    units = section.units
    if number < 0 or not isinstance(value, date | time):
        return Shown(number, _refusal(code))
    if units & _DAY_PARTS and not from_1904 and int(number) in _NO_DAYS:
        return Shown(_NO_DAYS[int(number)], _refusal(code))
    shown = _moment(value, units, fractions=".0" in section.places)
    is_whole = (units >= _DAY_UNITS or not units & _DAY_PARTS) and (
        "h" in units or not units & _CLOCK_UNITS
    )
    if not is_whole:
        return Shown(value, _refusal(code, in_text=True))
    return Shown(shown)


def _moment(value: date | time, units: frozenset[str], *, fractions: bool) -> date | time:
    """The units of a moment that are shown."""
    if not units & _CLOCK_UNITS:
        return value.date() if isinstance(value, datetime) else value
    shows_day = bool(units & _DAY_PARTS)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time()) if shows_day else time()
    if not fractions:
        moment = value if isinstance(value, datetime) else datetime.combine(_ANY_DAY, value)
        near = (moment + timedelta(seconds=0.5)).replace(microsecond=0)
        if "s" in units or abs(near - moment) <= _NOISE:
            moment = near
        value = moment.replace(microsecond=0, second=moment.second if "s" in units else 0)
    return value if shows_day or isinstance(value, time) else value.time()
