"""Implements `syncro leads undo`, which takes an import back by its report."""

from __future__ import annotations

import asyncio
import sys

from syncro_async import UndoneRow, UndoSummary
from syncro_async.cli.exits import DONE, WrongUsageError, in_one_line, say
from syncro_async.cli.output import counted
from syncro_async.cli.session import Connection
from syncro_async.cli.words import reason_of


def undo_import(report: str, connection: Connection, *, dry_run: bool) -> int:
    """Take the import back and print each row. Raises `WrongUsageError` for another file."""
    try:
        return _print(asyncio.run(_undo(report, connection, dry_run=dry_run)), dry_run=dry_run)
    except ValueError as error:
        raise WrongUsageError(reason_of(error)) from error


def _print(summary: UndoSummary, *, dry_run: bool) -> int:
    """Print each row and the counts."""
    for row in summary.rows:
        sys.stdout.write(f"{_described(row)}\n")
    would = "would be " if dry_run else ""
    say(
        f"{counted(summary.count('deleted'), 'lead')} {would}deleted, {summary.count('restored')}"
        f" {would}restored, {summary.count('kept')} kept, {summary.count('gone')} gone;"
        f" {counted(summary.requests, 'request')}"
    )
    return DONE


async def _undo(report: str, connection: Connection, *, dry_run: bool) -> UndoSummary:
    async with connection.bulk() as bulk:
        return await bulk.undo_import(report, dry_run=dry_run)


def _described(row: UndoneRow) -> str:
    changes = ", ".join(f"{name} {old!r} → {new!r}" for name, (old, new) in row.changes.items())
    parts = [part for part in (changes, row.reason) if part]
    return in_one_line(f"line {row.line}: {row.what} lead {row.lead_id}: {'; '.join(parts)}")
