"""`syncro leads import`: the rows of a file sent as leads, each of them once."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from syncro_async import (
    BadRowsError,
    FailureGroup,
    ImportStoppedError,
    ImportSummary,
    Plan,
    Progress,
    RowChange,
)
from syncro_async.cli.exits import DONE, CommandFailedError, WrongUsageError, in_one_line, say
from syncro_async.cli.output import duration, print_plan, show_progress
from syncro_async.cli.session import Connection

_SENDING = "sending"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportArguments:
    """What to import, and how. `settings` are arguments of the import, as far as given."""

    file: str
    create: bool
    plan: bool
    dry_run: bool
    resume: bool | None
    journal: str | None
    failures: str | None
    way: Connection
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def journal_path(self) -> Path:
        """Where the run remembers what it has done."""
        return Path(self.journal or f"{self.file}.journal")

    @property
    def failures_path(self) -> Path:
        """Where the rows go that fail."""
        file = Path(self.file)
        return Path(self.failures or file.with_name(f"{file.stem}.failed{file.suffix}"))


def order_of(words: Mapping[str, Any]) -> ImportArguments:
    """The order that the command's arguments give. Raises `WrongUsageError`."""
    settings: dict[str, Any] = {
        "columns": mapped(words["column"] or [], words["ignore"] or []),
        "defaults": filled(words["default"] or []),
        "canary": words["canary"],
        "max_failures": words["max_failures"],
    }
    if not words["create"]:
        settings |= {"match_by": words["match_by"], "diff": words["diff"]}
    own = ("file", "create", "plan", "dry_run", "resume", "journal", "failures")
    way = Connection(words["base_url"], words["lane"], words["limiter"])
    return ImportArguments(**{name: words[name] for name in own}, way=way, settings=settings)


def mapped(columns: Sequence[str], ignored: Sequence[str]) -> dict[str, str | None]:
    """`--column COLUMN=FIELD` and `--ignore COLUMN` as a mapping. Raises `WrongUsageError`."""
    targets: dict[str, str | None] = dict.fromkeys(ignored)
    for words in columns:
        column, equals, target = words.rpartition("=")
        if not (column and equals and target):
            raise WrongUsageError(f"--column {words!r}: write COLUMN=FIELD")
        targets[column] = target
    return targets


def filled(values: Sequence[str]) -> dict[str, str]:
    """`--set FIELD=VALUE` as a mapping. Raises `WrongUsageError`."""
    found = {}
    for words in values:
        name, equals, value = words.partition("=")
        if not (name and equals):
            raise WrongUsageError(f"--set {words!r}: write FIELD=VALUE")
        found[name] = value
    return found


def import_leads(order: ImportArguments) -> int:
    """Carry out the order and say on stderr what became of the rows.

    Raises `CommandFailedError` when a row could not be sent or the job stopped early.
    """
    if order.plan:
        return print_plan(asyncio.run(_plan(order)), " at most")
    _check_journal(order)
    with _ImportExit(order) as ending:
        return _print_summary(order, asyncio.run(_import(order, ending.seen)))


class _ImportExit:
    """Says what an import that was cut short leaves behind, and how to go on."""

    def __init__(self, order: ImportArguments) -> None:
        self._order = order
        self.seen: list[Progress] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        order = self._order
        if isinstance(error, BadRowsError):
            _print_groups(error.groups)
            raise CommandFailedError(error.message) from error
        if isinstance(error, ImportStoppedError):
            _print_groups(error.summary.reasons)
            say(f"go on with: {_again(order)}")
            raise CommandFailedError(error.message) from error
        if isinstance(error, ValueError):
            raise WrongUsageError(str(error)) from error
        unfinished = order.journal_path.exists() and not order.dry_run
        if isinstance(error, KeyboardInterrupt) and unfinished:
            at = [seen for seen in self.seen if seen.phase == _SENDING]
            done = [f"{now.done} of {now.total} rows are done; " for now in at]
            say(f"{''.join(done)}go on with: {_again(order)}")


def _check_journal(order: ImportArguments) -> None:
    """Say yes or no to an unfinished run before anything is read. Raises `WrongUsageError`."""
    if order.dry_run or not order.journal_path.exists():
        return
    if order.resume is None:
        raise WrongUsageError(
            f"an earlier import of {order.file} did not finish ({order.journal_path}):"
            " --resume goes on with it, --no-resume forgets what it has done"
        )
    if not order.resume:
        _forget(order.journal_path)


def _forget(journal: Path) -> None:
    """Remove a journal. Raises `WrongUsageError` for what is none, and for one that is in use."""
    with closing(sqlite3.connect(journal, timeout=0.0)) as db:
        try:
            tables = {name for (name,) in db.execute(_TABLES)}
        except sqlite3.DatabaseError as error:
            raise WrongUsageError(f"{journal} is in use, or no journal: {error}") from error
    if tables != {"meta", "rows"}:
        raise WrongUsageError(f"{journal} is no journal of an import; name another")
    journal.unlink()


async def _import(order: ImportArguments, seen: list[Progress]) -> ImportSummary:
    async with order.way.bulk() as bulk:
        with show_progress() as tell:

            def note(progress: Progress) -> None:
                seen[:] = [progress]
                tell(progress)

            work = bulk.create_leads if order.create else bulk.upsert_leads
            settings: dict[str, Any] = {
                **order.settings,
                "journal": order.journal_path,
                "failures": order.failures_path,
                "dry_run": order.dry_run,
                "on_progress": note,
            }
            return await work(order.file, **settings)


async def _plan(order: ImportArguments) -> Plan:
    unplanned = ("canary", "max_failures")
    settings = {name: value for name, value in order.settings.items() if name not in unplanned}
    async with order.way.bulk() as bulk:
        try:
            return await bulk.plan_import(
                order.file, create=order.create, journal=order.journal_path, **settings
            )
        except BadRowsError as error:
            _print_groups(error.groups)
            raise CommandFailedError(error.message) from error
        except ValueError as error:
            raise WrongUsageError(str(error)) from error


def _print_summary(order: ImportArguments, summary: ImportSummary) -> int:
    for change in summary.changes:
        sys.stdout.write(f"{_described(change)}\n")
    would = "would be " if order.dry_run else ""
    say(
        f"{summary.total} rows: {summary.created} {would}created, {summary.updated} {would}updated,"
        f" {summary.unchanged} unchanged, {summary.failed} failed, {summary.in_doubt} in doubt;"
        f" {summary.requests} requests in {duration(summary.seconds)}"
    )
    if order.dry_run:
        return DONE
    if summary.in_doubt:
        raise CommandFailedError(
            f"{summary.in_doubt} rows are in doubt: their answers were lost, and looking them up"
            f" failed; look again with: {_again(order)}"
        )
    order.journal_path.unlink(missing_ok=True)
    if summary.failed:
        _print_groups(summary.reasons)
        raise CommandFailedError(
            f"{summary.failed} rows failed; they are in {order.failures_path}, to be mended and"
            " imported"
        )
    with suppress(OSError):
        order.failures_path.unlink()  # nothing failed, nothing is in it
    return DONE


def _described(change: RowChange) -> str:
    fields = ", ".join(
        f"{name} {new!r}" if old is None else f"{name} {old!r} → {new!r}"
        for name, (old, new) in change.fields.items()
    )
    lead = "" if change.lead_id is None else f" lead {change.lead_id}"
    return in_one_line(f"line {change.line}: {change.kind}{lead}: {fields}")


def _print_groups(groups: Sequence[FailureGroup]) -> None:
    for group in groups:
        lines = ", ".join(map(str, group.lines))
        more = (
            f" and {group.count - len(group.lines)} more" if group.count > len(group.lines) else ""
        )
        say(in_one_line(f"{group.count} × {group.reason} (line {lines}{more})"))


def _again(order: ImportArguments) -> str:
    return f"syncro leads import {order.file} --resume, and the options of before"
