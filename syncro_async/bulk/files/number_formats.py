"""Splits the number format of a cell of Excel into sections and parts (ECMA-376, 18.8.31)."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

_CURRENCY = '"$"#,##0{0}_);{1}("$"#,##0{0})'
_ACCOUNTING = '_({1}* #,##0{0}_);_({1}* (#,##0{0});_({1}* "-"_);_(@_)'
# The formats that a workbook names by number only. 14 and 22 follow the settings of the system.
_KNOWN = (
    (0, ("General", "0", "0.00", "#,##0", "#,##0.00")),
    (5, (_CURRENCY.format("", ""), _CURRENCY.format("", "[Red]"))),
    (7, (_CURRENCY.format(".00", ""), _CURRENCY.format(".00", "[Red]"))),
    (9, ("0%", "0.00%", "0.00E+00", "# ?/?", "# ??/??")),
    (14, ("m/d/yyyy", "d-mmm-yy", "d-mmm", "mmm-yy")),
    (18, ("h:mm AM/PM", "h:mm:ss AM/PM", "h:mm", "h:mm:ss", "m/d/yyyy h:mm")),
    # Dates of East Asia, of which only the program that shows them knows the form.
    (27, ("yyyy",) * 10),
    (37, ("#,##0 ;(#,##0)", "#,##0 ;[Red](#,##0)")),
    (39, ("#,##0.00;(#,##0.00)", "#,##0.00;[Red](#,##0.00)")),
    (41, (_ACCOUNTING.format("", ""), _ACCOUNTING.format("", '"$"'))),
    (43, (_ACCOUNTING.format(".00", ""), _ACCOUNTING.format(".00", '"$"'))),
    (45, ("mm:ss", "[h]:mm:ss", "mm:ss.0", "##0.0E+0", "@")),
    (50, ("yyyy",) * 9),
)
BUILT_IN = {first + at: code for first, codes in _KNOWN for at, code in enumerate(codes)}
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|(?P<space>[_*].)|\[(?P<bracket>[^\]]*)\]'
    r"|(?P<general>general)|(?P<date>am/pm|a/p|y+|m+|d+|h+|s+)|(?P<mark>e[+-]|[.,%/@;])"
    r"|(?P<other>[bge])|(?P<digit>[0#?])|(?P<bare>.)",
    re.IGNORECASE | re.DOTALL,
)
_CURRENCY_BRACKET = re.compile(r"\$([^-]*)(?:-(?!x?[0-9A-F]{5}).*)?", re.IGNORECASE)
_COLOUR = re.compile(r"black|blue|cyan|green|magenta|red|white|yellow|colou?r ?\d+", re.IGNORECASE)
_CONDITION = re.compile(r"(<=|>=|<>|=|<|>)(-?\d+(?:\.\d+)?)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<>": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}

Kind = Literal["literal", "general", "date", "elapsed", "mark", "digit", "other", "condition"]


class Part(NamedTuple):
    """A piece of a format; `text`: the literal, or the piece as it is written, in lower case."""

    kind: Kind
    text: str


class Section:
    """A section of a format.

    - `kinds`: of its parts
    - `literals`: all its literals, one after the other; `has_letters`: whether one has a letter
    - `literal_inside`: whether a literal stands between two other parts
    - `places`: the placeholders of the digits, with the point and the commas between them
    - `units`: the units of time that are shown; `m` beside hours or seconds is a minute
    - `condition`: which numbers it shows, None for no condition
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.condition = next((one.text for one in parts if one.kind == "condition"), None)
        self.parts = [one for one in parts if one.kind != "condition"]
        self.kinds = {one.kind for one in self.parts}
        self.literals = "".join(one.text for one in self.parts if one.kind == "literal")
        self.has_letters = any(letter.isalpha() for letter in self.literals)
        self.places = "".join(one.text for one in self.parts if one.kind in {"digit", "mark"})
        self.units = frozenset(_units(self.parts))
        outer = "".join("l" if one.kind == "literal" else " " for one in self.parts)
        self.literal_inside = "l" in outer.strip("l")


def _units(parts: Sequence[Part]) -> Iterator[str]:
    times = [one.text for one in parts if one.kind == "date"]
    for before, unit, after in zip(["", *times], times, [*times[1:], ""], strict=False):
        if unit in {"m", "mm"} and (before[:1] == "h" or after[:1] == "s"):
            yield "minute"
        elif unit[0] == "m":
            yield "month"
        else:
            yield "weekday" if unit.startswith("ddd") else unit[0]


@lru_cache(maxsize=1024)
def sections_of(code: str) -> tuple[Section, ...]:
    """The sections of a format, each without what only sets colours and widths."""
    sections: list[list[Part]] = [[]]
    for found in _TOKEN.finditer(code):
        name = found.lastgroup or ""
        text = found[name]
        if name == "mark" and text == ";":
            sections.append([])
        elif name in {"quoted", "escaped", "bare"}:
            sections[-1].append(Part("literal", text))
        elif name == "bracket":
            sections[-1].extend(_bracket(text))
        elif name != "space":
            kinds: dict[str, Kind] = {"general": "general", "date": "date", "mark": "mark"}
            kind: Kind = kinds.get(name, "digit" if name == "digit" else "other")
            sections[-1].append(Part(kind, text.lower()))
    return tuple(map(Section, sections))


def _bracket(text: str) -> list[Part]:
    if currency := _CURRENCY_BRACKET.fullmatch(text):
        return [Part("literal", currency[1])]
    if _COLOUR.fullmatch(text):
        return []
    if _CONDITION.fullmatch(text):
        return [Part("condition", text)]
    is_elapsed = text != "" and len(set(text.lower())) == 1 and text[0] in "hmsHMS"
    return [Part("elapsed" if is_elapsed else "other", text.lower())]


def section_for(value: float, code: str) -> Section | None:
    """The section that shows a number; None where the rules do not say it surely."""
    numbers = sections_of(code)[:3]
    if not any(one.condition for one in numbers):
        if value < 0 and len(numbers) > 1:
            return numbers[1]
        return numbers[2] if value == 0 and len(numbers) > 2 else numbers[0]
    if not all(one.condition for one in numbers[:-1]):
        return None
    return next((one for one in numbers if _holds(one.condition, value)), None)


def _holds(condition: str | None, value: float) -> bool:
    found = _CONDITION.fullmatch(condition or "")
    return found is None or _COMPARE[found[1]](value, float(found[2]))
