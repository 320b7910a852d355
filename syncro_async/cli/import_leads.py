"""Implements `syncro leads import`, which sends each row of a file once as a lead."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from syncro_async import (
    BadRowsError,
    ImportStoppedError,
    ImportSummary,
    Plan,
    Progress,
    RowChange,
    SourceReport,
)
from syncro_async.cli.exits import DONE, CommandFailedError, WrongUsageError, in_one_line, say
from syncro_async.cli.output import counted, duration, print_json, print_plan, show_progress
from syncro_async.cli.session import Connection
from syncro_async.cli.source_output import print_groups, print_source
from syncro_async.cli.words import reason_of

_SENDING = "sending"
_READING = ("locale", "on_bad_row", "encoding", "header_row", "ignore_others")
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportArguments:
    """The arguments of the command; `settings` are keyword arguments of the import."""

    file: str
    create: bool
    plan: bool
    dry_run: bool
    resume: bool | None
    journal: str | None
    failures: str | None
    as_json: bool
    connection: Connection
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def journal_path(self) -> Path:
        """The file that stores the state of each row."""
        if self.journal:
            return Path(self.journal)
        file = Path(self._local_name)
        # Runs that name one file by a link and by itself must find the same journal.
        real = file.resolve() if file.is_symlink() else file
        return real.with_name(f"{real.name}.journal")

    @property
    def failures_path(self) -> Path:
        """The file for the rows that are not imported."""
        file = Path(self._local_name)
        packed = file.suffix if file.suffix.lower() == ".gz" else ""
        plain = file.with_name(file.name.removesuffix(packed))
        suffix = plain.suffix or ".csv"
        return Path(self.failures or plain.with_name(f"{plain.stem}.failed{suffix}{packed}"))

    @property
    def _local_name(self) -> str:
        """The name of the file; files beside the standard input are in the current folder."""
        return "stdin" if self.file == "-" else self.file


def order_of(options: Mapping[str, Any]) -> ImportArguments:
    """Make the import's arguments from the options of the command. Raises `WrongUsageError`."""
    settings: dict[str, Any] = {
        "columns": parse_columns(options["column"] or [], options["ignore"] or []),
        "defaults": parse_defaults(options["default"] or []),
        "canary": options["canary"],
        "max_failures": options["max_failures"],
        "server_time_limit": options["server_time_limit"],
        "max_outage": options["max_outage"],
        "allow_sales": options["allow_sales"],
        "report": options["report"],
        **{name: options[name] for name in _READING},
    }
    if not options["create"]:
        own_names = {"match_by": "match_by", "diff": "diff", "tags_mode": "tags"}
        settings |= {name: options[option] for name, option in own_names.items()}
    names = ("file", "create", "plan", "dry_run", "resume", "journal", "failures", "as_json")
    connection = Connection(options["base_url"], options["lane"], options["limiter"])
    own = {name: options[name] for name in names}
    return ImportArguments(**own, connection=connection, settings=settings)


def parse_columns(columns: Sequence[str], ignored: Sequence[str]) -> dict[str, str | None]:
    """`--column COLUMN=FIELD` and `--ignore COLUMN` as a mapping. Raises `WrongUsageError`."""
    targets: dict[str, str | None] = dict.fromkeys(ignored)
    for option in columns:
        column, equals, target = option.rpartition("=")
        if not (column and equals and target):
            raise WrongUsageError(f"--column {option!r}: write COLUMN=FIELD")
        targets[column] = target
    return targets


def parse_defaults(values: Sequence[str]) -> dict[str, str]:
    """`--set FIELD=VALUE` as a mapping. Raises `WrongUsageError`."""
    found = {}
    for option in values:
        name, equals, value = option.partition("=")
        if not (name and equals):
            raise WrongUsageError(f"--set {option!r}: write FIELD=VALUE")
        found[name] = value
    return found


def import_leads(arguments: ImportArguments) -> int:
    """Run the import and print its result to stderr.

    Raises `CommandFailedError` when a row failed or the import stopped early.
    """
    if arguments.plan:
        return print_plan(asyncio.run(_plan(arguments)), " at most", as_json=arguments.as_json)
    _check_journal(arguments)
    with _ImportExit(arguments) as import_exit:
        return _print_summary(arguments, asyncio.run(_import(arguments, import_exit.progress)))


class _ImportExit:
    """Prints how to continue an import that ended early."""

    def __init__(self, arguments: ImportArguments) -> None:
        self._arguments = arguments
        self.progress: list[Progress] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        arguments = self._arguments
        if isinstance(error, BadRowsError):
            raise _refusal(error) from error
        if isinstance(error, ImportStoppedError):
            if arguments.as_json:
                print_json(error.summary)
            print_groups(error.summary.reasons)
            _print_doubts(error.summary)
            say(f"continue with: {_resume_command(arguments)}")
            raise CommandFailedError(error.message) from error
        if isinstance(error, ValueError):
            raise WrongUsageError(reason_of(error)) from error
        unfinished = arguments.journal_path.exists() and not arguments.dry_run
        if isinstance(error, KeyboardInterrupt) and unfinished:
            at = [seen for seen in self.progress if seen.phase == _SENDING]
            done = [f"done: {now.done} of {counted(now.total or 0, 'row')}; " for now in at]
            say(f"{''.join(done)}continue with: {_resume_command(arguments)}")


def _refusal(error: BadRowsError) -> CommandFailedError:
    """Print what is wrong with the rows; return the error that ends the command."""
    print_groups(error.groups)
    advice = ""
    if error.file is not None:
        advice = ": correct them in their file, or leave them out with --on-bad-row set-aside"
    return CommandFailedError(f"{error.message}{advice}")


def _check_journal(arguments: ImportArguments) -> None:
    """Check whether an unfinished run is continued or discarded. Raises `WrongUsageError`."""
    if arguments.dry_run or not arguments.journal_path.exists():
        return
    if arguments.resume is None:
        raise WrongUsageError(
            f"an earlier import of {arguments.file} did not finish ({arguments.journal_path}):"
            " --resume continues it, --no-resume discards its journal and starts again"
        )
    if not arguments.resume:
        _discard(arguments.journal_path)


def _discard(journal: Path) -> None:
    """Remove a journal. Raises `WrongUsageError` for another file and for a journal in use."""
    with closing(sqlite3.connect(journal, timeout=0.0)) as db:
        try:
            tables = {name for (name,) in db.execute(_TABLES)}
        except sqlite3.DatabaseError as error:
            raise WrongUsageError(f"{journal} is in use, or is not a journal: {error}") from error
    if not {"meta", "rows"} <= tables <= {"meta", "rows", "known"}:
        raise WrongUsageError(f"{journal} is not a journal of an import; name another file")
    journal.unlink()


async def _import(arguments: ImportArguments, latest: list[Progress]) -> ImportSummary:
    async with arguments.connection.bulk() as bulk:
        with show_progress() as show:

            def on_progress(progress: Progress) -> None:
                latest[:] = [progress]
                show(progress)

            def on_source(report: SourceReport) -> None:
                print_source(report, mapping=arguments.dry_run)

            run = bulk.create_leads if arguments.create else bulk.upsert_leads
            settings: dict[str, Any] = {
                **arguments.settings,
                "journal": arguments.journal_path,
                "failures": arguments.failures_path,
                "dry_run": arguments.dry_run,
                "on_source": on_source,
                "on_progress": on_progress,
            }
            return await run(arguments.file, **settings)


async def _plan(arguments: ImportArguments) -> Plan:
    not_planned = (
        "canary",
        "max_failures",
        "server_time_limit",
        "max_outage",
        "allow_sales",
        "report",
    )
    given = arguments.settings.items()
    settings = {name: value for name, value in given if name not in not_planned}
    async with arguments.connection.bulk() as bulk:
        try:
            return await bulk.plan_import(
                arguments.file, create=arguments.create, journal=arguments.journal_path, **settings
            )
        except BadRowsError as error:
            raise _refusal(error) from error
        except ValueError as error:
            raise WrongUsageError(reason_of(error)) from error


def _print_summary(arguments: ImportArguments, summary: ImportSummary) -> int:
    if arguments.as_json:
        print_json(summary)
    for change in () if arguments.as_json else summary.changes:
        sys.stdout.write(f"{_described(change)}\n")
    would = "would be " if arguments.dry_run else ""
    aside = f", {summary.set_aside} set aside" if summary.set_aside else ""
    say(
        f"{counted(summary.total, 'row')}: {summary.created} {would}created,"
        f" {summary.updated} {would}updated,"
        f" {summary.unchanged} unchanged, {summary.failed} failed, {summary.in_doubt} in doubt"
        f"{aside};"
        f" {counted(summary.requests, 'request')} in {duration(summary.seconds)}"
    )
    if summary.emptied:
        say(f"empty cells that change nothing, so that leads keep their values: {summary.emptied}")
    if summary.sales or summary.losses:
        say(
            f"{counted(summary.sales, 'sale')} and {counted(summary.losses, 'loss', 'losses')}"
            " would be recorded, because of the"
            " stages of the rows: the import needs --allow-sales"
        )
    if arguments.dry_run:
        return _check_failed(summary)
    if summary.in_doubt:
        _print_doubts(summary)
        raise CommandFailedError(
            f"{counted(summary.in_doubt, 'row')} in doubt: the answers were lost, and what the"
            " server shows does not decide what was carried out. These rows are not sent again by"
            " themselves. Delete the leads above that no row is to have, or correct the names of"
            f" the others; then look again with: {_resume_command(arguments)}"
        )
    arguments.journal_path.unlink(missing_ok=True)
    return _check_failed(summary)


def _check_failed(summary: ImportSummary) -> int:
    """Raise `CommandFailedError` when there are rows that are not imported."""
    print_groups(summary.reasons)
    found = ((summary.failed, "failed"), (summary.set_aside, "set aside"))
    counts = " and ".join(f"{counted(count, 'row')} {what}" for count, what in found if count)
    if counts:
        raise CommandFailedError(
            f"{counts}; see {summary.failures_file}: correct this file and import it"
        )
    return DONE


def _described(change: RowChange) -> str:
    fields = ", ".join(
        f"{name} {new!r}" if old is None else f"{name} {old!r} → {new!r}"
        for name, (old, new) in change.fields.items()
    )
    lead = "" if change.lead_id is None else f" lead {change.lead_id}"
    return in_one_line(f"line {change.line}: {change.kind}{lead}: {fields}")


def _print_doubts(summary: ImportSummary) -> None:
    for problem in summary.doubts:
        say(in_one_line(f"line {problem.line}: {problem.reason}"))


def _resume_command(arguments: ImportArguments) -> str:
    return f"syncro leads import {arguments.file} --resume and the same options as before"
