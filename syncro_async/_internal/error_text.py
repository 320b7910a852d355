"""Puts into words what an error knows."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from syncro_async.models.receipts import FailureGroup, advice_in, shown

# How many fields or tasks a text names.
_FEW = 5


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return the number and the noun, in the plural unless the number is 1: `"1 lead"`.

    `plural`: the plural of the noun where it does not end in `s` alone.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {plural or f'{noun}s'}"


def format_error(call: str, verdict: str, message: str, detail: str, attempts: int) -> str:
    """`CALL VERDICT: MESSAGE [DETAIL] (2 attempts)`, without what is not known."""
    result = " ".join(filter(None, (call, verdict)))
    known = f" [{detail}]" if detail else ""
    tries = f" ({attempts} attempts)" if attempts > 1 else ""
    text = f"{message}{known}{tries}"
    return f"{result}: {text}" if result else text


def first_few(names: Iterable[str]) -> str:
    """The first few of them."""
    shown = list(islice(names, _FEW + 1))
    return ", ".join([*shown[:_FEW], "…"] if len(shown) > _FEW else shown)


def format_wait(seconds: float | None) -> str:
    """What a server asked for, if it did."""
    return "" if seconds is None else f"asks to wait {seconds:g} s"


def format_groups(groups: tuple[FailureGroup, ...]) -> str:
    """The groups as one text, the largest first."""
    return "; ".join(f"{group.reason} ({_lines(group)}){_advice(group)}" for group in groups)


def _advice(group: FailureGroup) -> str:
    return "" if group.advice is None else f": {advice_in(group.advice, group.column)}"


def _lines(group: FailureGroup) -> str:
    values = [f": {shown(value)}" for value in group.values] or [""] * len(group.lines)
    first = ", ".join(map("{}{}".format, group.lines, values))
    more = group.count - len(group.lines)
    label = "line" if group.count == 1 else "lines"
    return f"{label} {first} and {more} more" if more else f"{label} {first}"
