"""The forms an export can take: leads in, bytes out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from syncro_async import Lead

_STARTS_A_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the full-width ones, too
_PHONE_OR_NUMBER = re.compile(r"[+-][0-9 ().-]*\Z")


@dataclass(frozen=True, slots=True)
class Format:
    """How leads are written: what stands at the top, and the bytes of one page of them."""

    name: str
    top: bytes
    page: Callable[[Sequence[Lead]], bytes]


def jsonl_page(leads: Sequence[Lead]) -> bytes:
    """One JSON object a line, as the API names things; a relation not asked for is left out."""
    return msgspec.json.Encoder().encode_lines(leads)


def csv_page(leads: Sequence[Lead]) -> bytes:
    """One row a lead, in UTF-8; see `cell` for what a value becomes."""
    return _rows([_cells(msgspec.to_builtins(lead)) for lead in leads])


def cell(value: Any) -> str:
    """A CSV cell: text as it is, nothing for None, everything else as JSON.

    Leads carry what strangers typed into forms, and a spreadsheet runs a cell that starts with
    = + - @ as a formula. Such text gets an apostrophe in front, unless it is made of a sign,
    digits and ` ().-` alone: that is a phone (`+5511999887766`) or a number, which no spreadsheet
    can be harmed by, and it stays exact for programs.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    risky = value.startswith(_STARTS_A_FORMULA) or value.lstrip().startswith(_STARTS_A_FORMULA)
    return f"'{value}" if risky and not _PHONE_OR_NUMBER.match(value) else value


def _cells(fields: Mapping[str, Any]) -> list[str]:
    return [cell(fields.get(column)) for column in COLUMNS]


def _rows(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


COLUMNS = tuple(field.encode_name for field in msgspec.structs.fields(Lead))
"""The columns of a CSV export: every field of `Lead`, whatever was asked for."""

FORMATS: Mapping[str, Format] = {
    "jsonl": Format("jsonl", b"", jsonl_page),
    "csv": Format("csv", _rows([COLUMNS]), csv_page),
}
