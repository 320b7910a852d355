"""Shows a record, or many, as an HTML table: only what is there, and all of it escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

import msgspec

# A notebook keeps what it shows: of a long list the beginning, of a long text too.
_MOST_ROWS = 50
_LONGEST = 120
_MOST_PARTS = 10
_TEXT = ' style="text-align:left;vertical-align:top"'
_LINE = ' style="text-align:left;vertical-align:top;white-space:nowrap"'
_NUMBER = ' style="text-align:right;vertical-align:top;white-space:nowrap"'
# A longer text may be wrapped: the line of a table has to fit a screen.
_SHORT = 24
# Fields of the structs of this package that are durations.
_SECONDS = frozenset({"window", "next_free_in", "gate_closed_for", "seconds", "seconds_left"})


def record_table(record: msgspec.Struct) -> str:
    """One record, a line for each field that holds something.

    A struct is shown by it in a notebook when its class says `_repr_html_ = record_table`.
    """
    lines = [
        f"<tr><th{_LINE}>{_safe(name)}</th><td{_TEXT}>{_safe(_with_unit(name, value))}</td></tr>"
        for name, value in _fields(record).items()
        if _holds_something(value)
    ]
    return _table(type(record).__name__, lines)


def rows_table(rows: Sequence[object], caption: str = "") -> str:
    """Many records, a column for each field that holds something in one of those shown."""
    shown = [_fields(row) for row in rows[:_MOST_ROWS]]
    names = dict.fromkeys(
        name for row in shown for name, value in row.items() if _holds_something(value)
    )
    styles = {name: _style_of([row.get(name) for row in shown]) for name in names}
    heads = (f"<th{style}>{_safe(name)}</th>" for name, style in styles.items())
    lines = ["".join(["<tr>", *heads, "</tr>"])]
    for row in shown:
        cells = (f"<td{styles[name]}>{_safe(_shown(row.get(name)))}</td>" for name in names)
        lines.append("".join(["<tr>", *cells, "</tr>"]))
    said = [caption or f"{len(rows):,} in all"]
    if len(rows) > len(shown):
        said.append(f"the first {len(shown)} are shown")
    return _table(", ".join(said), lines if names else [])


def _style_of(column: Sequence[object]) -> str:
    """Numbers to the right; numbers, dates and short texts are not wrapped."""
    held = [value for value in column if _holds_something(value)]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in held):
        return _NUMBER
    whole = all(len(_shown(value)) <= _SHORT or isinstance(value, date) for value in held)
    return _LINE if whole else _TEXT


def _with_unit(name: str, value: object) -> str:
    if name in _SECONDS and isinstance(value, int | float):
        return f"{value:,.1f} s"
    return _shown(value)


def _table(caption: str, lines: Iterable[str]) -> str:
    return f"<table><caption>{_safe(caption)}</caption>{''.join(lines)}</table>"


def _safe(text: str) -> str:
    """The text as HTML, also where it holds half a character, which no file can."""
    return html.escape(text.encode("utf-8", "replace").decode())


def _fields(row: object) -> dict[str, object]:
    if isinstance(row, msgspec.Struct):
        return {name: getattr(row, name) for name in row.__struct_fields__}
    if isinstance(row, Mapping):
        return {str(name): value for name, value in row.items()}
    return {"value": row}


def _holds_something(value: object) -> bool:
    return not (
        value is None or value is msgspec.UNSET or (hasattr(value, "__len__") and not len(value))
    )


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        text = _listed([f"{name}: {_brief(part)}" for name, part in value.items()], "; ")
    elif isinstance(value, list | tuple):
        text = _listed([_brief(part) for part in value], ", ")
    else:
        text = _brief(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _listed(parts: list[str], comma: str) -> str:
    more = [f"{len(parts) - _MOST_PARTS} more"] if len(parts) > _MOST_PARTS else []
    return comma.join([*parts[:_MOST_PARTS], *more])


def _brief(value: object) -> str:
    """In a few words: what has a name goes by it, and what is nested deeper is counted."""
    match value:
        case None | msgspec.UNSET:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case float():
            text = f"{value:,.2f}"
        case datetime():
            text = value.isoformat(sep=" ", timespec="minutes")
        case msgspec.Struct():
            text = _named(_fields(value))
        case Mapping() | list() | tuple():
            text = f"({len(value)})"
        case _:
            text = str(value)
    return text


def _named(fields: Mapping[str, object]) -> str:
    """What a thing is called; where it has no name, what it says of itself."""
    plain = {name: value for name, value in fields.items() if isinstance(value, str | int)}
    for name in ("name", "title", "subject", "id"):
        if name in plain:
            return str(plain[name])
    return " · ".join(str(value) for value in plain.values())
