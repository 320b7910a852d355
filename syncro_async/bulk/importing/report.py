"""Writes what became of each row of an import, and reads it again to take the import back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async.bulk.importing.diff import plan_of
from syncro_async.bulk.importing.fields import FieldMapping
from syncro_async.bulk.importing.journal import NOT_MADE
from syncro_async.bulk.importing.own_files import check_creatable, write_own, written_before
from syncro_async.errors import ConfigurationError, InvalidArgumentError

_SUFFIX = ".jsonl"
# The states of the journal in the words of the report.
_OUTCOMES = {
    "repeat": "unchanged",
    "stale": "failed",
    "unknown": "in_doubt",
    "doubt": "in_doubt",
    "pending": "unsent",
    "sent": "unsent",
}
_QUERY = "SELECT line, state, lead_id, made, error, body, plan FROM rows ORDER BY idx"
_OF_SEVERAL_ROWS = """
SELECT lead_id FROM rows WHERE lead_id IS NOT NULL GROUP BY lead_id HAVING COUNT(*) > 1
"""


class ReportLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one row.

    - `line`: its line in the source
    - `outcome`: `created`, `updated`, `unchanged`, `failed`, `in_doubt` or `unsent`
    - `lead_id`: its lead, None where it is not known
    - `changes`: the fields that were sent, each with its old and its new value
    - `error`: why it failed or is in doubt
    - `made_lead`: whether the row has created its lead although its outcome is not `created`: a
      later call of the row failed, or was not sent
    """

    line: int
    outcome: str
    lead_id: int | None = None
    changes: dict[str, tuple[Any, Any]] = {}
    error: str | None = None
    made_lead: bool = False

    @property
    def is_created(self) -> bool:
        """Whether the row has created its lead."""
        return self.made_lead or self.outcome == "created"


_decode = msgspec.json.Decoder(ReportLine).decode


def check_report(path: Path) -> Path:
    """Return the path. Raises `InvalidArgumentError` for a name that does not end in .jsonl."""
    if path.suffix.lower() != _SUFFIX:
        raise InvalidArgumentError(
            ArgumentText(
                Argument("report"), f" must be a file that ends in {_SUFFIX}, not {path.name}"
            ),
            argument="report",
        )
    return path


def check_writable_report(db: sqlite3.Connection, path: Path) -> None:
    """Check before the first row is sent that the report can be written.

    Raises `ConfigurationError` for a file that an earlier run of this import has not written, and
    `OSError`.
    """
    if path.exists() and written_before(db, "report", path) is None:
        raise ConfigurationError(
            f"{path} exists, and this import has not written it: name another report, or move it"
        )
    check_creatable(path)


def write_report(db: sqlite3.Connection, path: Path, fields: FieldMapping) -> Path:
    """Write one JSON object for each row of the journal, and return the file; see `write_own`.

    Raises `OSError`.
    """
    encode = msgspec.json.Encoder().encode

    def write(part: Path) -> None:
        with part.open("wb") as file:
            file.writelines(encode(line) + b"\n" for line in _lines(db, fields))

    return write_own(db, "report", path, write)


def _lines(db: sqlite3.Connection, fields: FieldMapping) -> Iterator[ReportLine]:
    several = {lead_id for (lead_id,) in db.execute(_OF_SEVERAL_ROWS)}
    # What the leads hold that a row has made and later rows change.
    held: dict[int, dict[str, Any]] = {}
    for line, state, lead_id, made, error, body, blob in db.execute(_QUERY):
        outcome = _OUTCOMES.get(state, state)
        changes: dict[str, tuple[Any, Any]] = {}
        plan = plan_of(blob)
        if plan is not None and state != "unchanged":
            changes = plan.changes
        elif made != NOT_MADE:
            given, _ = fields.convert(msgspec.json.decode(body))
            changes = {name: (None, value) for name, value in given.items()}
            if lead_id in several:
                held[lead_id] = given
        elif lead_id in held and state == "updated":
            changes = _changed_again(held[lead_id], fields.own(msgspec.json.decode(body)))
        known = plan.lead_id if lead_id is None and plan is not None else lead_id
        made_lead = made != NOT_MADE and outcome != "created"
        yield ReportLine(line, outcome, known, changes, error, made_lead)


def _changed_again(held: dict[str, Any], given: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what a row changes in a lead of an earlier row, and note it in `held`."""
    changes = {
        name: (held.get(name), value) for name, value in given.items() if held.get(name) != value
    }
    held.update(given)
    return changes


def read_report(path: Path) -> list[ReportLine]:
    """Return the lines of a report.

    Raises `OSError`, and `InvalidArgumentError` for a file that is not a report.
    """
    lines = []
    with check_report(path).open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                lines.append(_decode(raw))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise InvalidArgumentError(
                    f"{path} is not the report of an import: line {number}: {error}",
                    argument="report",
                ) from None
    return lines
