"""Prints how the rows of an import were read, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence

from syncro_async import FailureGroup, SourceReport
from syncro_async.cli.exits import in_one_line, say

_OPTIONS = {
    "columns": '--column "COLUMN=FIELD"',
    "ignore": '--ignore "COLUMN"',
    "ignore_others": "--ignore-others",
    "header_row": "--header-row ",
    "defaults": "--set FIELD=VALUE",
    "encoding": "--encoding NAME",
    "locale": "--locale pt-BR",
    "match_by": "--match-by",
    "on_bad_row": "--on-bad-row set-aside",
}
_SHOWN = 60
_LEFT_OUT = {"ignored": "ignored", "read-only": "read-only"}


def print_source(report: SourceReport, *, mapping: bool) -> None:
    """Print the encoding, what was removed from values and, with `mapping`, the columns."""
    if report.sample is not None or report.encoding not in {None, "UTF-8"}:
        sample = "" if report.sample is None else f", for example {report.sample!r}"
        say(
            f"{report.name}: read as {report.encoding}{sample}"
            " (--encoding NAME reads it in another encoding)"
        )
    if report.sheet is not None:
        others = ", ".join(map(repr, report.other_sheets))
        unread = f"; not read: {others}" if others else ""
        say(in_one_line(f"{report.name}: sheet {report.sheet!r}{unread}"))
    if mapping:
        _print_columns(report)
    if report.cleaned:
        counts = ", ".join(f"{count} × {what}" for what, count in report.cleaned.items())
        say(in_one_line(f"removed from values: {counts}"))


def _print_columns(report: SourceReport) -> None:
    for use in report.columns:
        if use.use == "part":
            continue
        target = use.field if use.use in {"field", "id"} else None
        if use.use == "id":
            target = "the lead's id"
        state = use.use if use.use in _LEFT_OUT else "cannot be used"
        say(in_one_line(f"column {use.column!r}: {target or state}"))


def print_groups(groups: Sequence[FailureGroup]) -> None:
    """Print each reason with the first lines and values, and with what to do next."""
    for group in groups:
        values = [f": {_shown(value)}" for value in group.values] or [""] * len(group.lines)
        lines = ", ".join(map("{}{}".format, group.lines, values))
        more = (
            f" and {group.count - len(group.lines)} more" if group.count > len(group.lines) else ""
        )
        advice = "" if group.advice is None else f": {_written(group.advice, group.column)}"
        say(in_one_line(f"{group.count} × {group.reason} (line {lines}{more}){advice}"))


def _written(advice: str, column: str | None) -> str:
    text = advice.format_map(_OPTIONS)
    return text if column is None else text.replace("COLUMN", column)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
