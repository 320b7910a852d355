"""`syncro leads export` and `syncro leads sync`: a lead list in a file, or in a database."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncro_async import ExportReceipt, Plan, SyncReceipt
from syncro_async.cli.exits import DONE, CommandFailedError, WrongUsageError, in_one_line, say
from syncro_async.cli.output import counted, print_json, print_plan, show_progress
from syncro_async.cli.session import Connection
from syncro_async.cli.words import reason_of

STDOUT = "-"


@dataclass(frozen=True, slots=True)
class ExportFile:
    """The file to write, its format, the layout of a CSV file, and whether to replace any file."""

    name: str
    format_name: str | None
    layout: Mapping[str, Any]
    force: bool


@dataclass(frozen=True, slots=True)
class ExportArguments:
    """What to export, and where to; `filters` are arguments of `export_leads`."""

    to: ExportFile
    filters: Mapping[str, Any]
    way: Connection
    resume: bool
    plan: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class SyncArguments:
    """What to bring up to date. `choices` are arguments of `sync_leads`."""

    database: str
    table: str
    choices: Mapping[str, Any]
    way: Connection
    resume: bool
    plan: bool
    as_json: bool


def export_leads(order: ExportArguments) -> int:
    """Carry out the order and say on stderr how many leads were written.

    Raises `CommandFailedError` when it is not proved that all were. What came is written all
    the same.
    """
    if order.plan:
        return print_plan(asyncio.run(_plan_export(order)), as_json=order.as_json)
    if order.to.name == STDOUT:
        if order.as_json:
            raise WrongUsageError("--json: name a FILE, because the leads go to standard output")
        return _to_stdout(order)
    return _print_export(order, _exported(order))


def _exported(order: ExportArguments) -> ExportReceipt:
    with kept_in(f"{order.to.name}.resume"):
        return asyncio.run(_export(order, order.to.name, order.to.format_name))


def _print_export(order: ExportArguments, receipt: ExportReceipt) -> int:
    if order.as_json:
        print_json(receipt)
    say(f"{counted(receipt.written, 'lead')} written to {order.to.name}")
    return _conclude(receipt, f"their JSON is in {receipt.unreadable_file}")


def sync_leads(order: SyncArguments) -> int:
    """Carry out the order and say on stderr what has changed in the table.

    Raises `CommandFailedError` when it is not proved that everything is in it.
    """
    if order.plan:
        return print_plan(asyncio.run(_plan_sync(order)), as_json=order.as_json)
    return _print_sync(_synced(order), as_json=order.as_json)


def _synced(order: SyncArguments) -> SyncReceipt:
    with kept_in(f"{order.database}.{order.table}.resume"):
        return asyncio.run(_sync(order))


def _print_sync(receipt: SyncReceipt, *, as_json: bool) -> int:
    if as_json:
        print_json(receipt)
    say(
        f"{counted(receipt.fetched, 'lead')} read: {receipt.inserted} new,"
        f" {receipt.updated} changed, {receipt.deleted} gone"
    )
    if not receipt.complete:
        raise CommandFailedError(
            f"not everything is in the table yet: {in_one_line(receipt.reason or '')}; run it again"
        )
    return DONE


@contextmanager
def kept_in(file: str) -> Iterator[None]:
    """Say how to go on when the block is cut short and something is kept."""
    try:
        yield
    except WrongUsageError:
        raise  # nothing has begun; what is there may be of another run under way
    except BaseException:
        if Path(file).exists():
            say(f"syncro: what was read is kept in {file}; the same command goes on from there")
        raise


def _to_stdout(order: ExportArguments) -> int:
    """Export to a file that is gone afterwards: no lead may go out twice."""
    with tempfile.TemporaryDirectory(prefix="syncro-") as folder:
        file = Path(folder, "leads")
        work = _export(order, str(file), order.to.format_name or "jsonl")
        return _copy_to_stdout(file, asyncio.run(work))


def _copy_to_stdout(file: Path, receipt: ExportReceipt) -> int:
    with file.open("rb") as leads:
        shutil.copyfileobj(leads, sys.stdout.buffer)
    sys.stdout.buffer.flush()
    say(f"{counted(receipt.written, 'lead')} written to standard output")
    return _conclude(receipt, "export to a file to keep their JSON")


def _conclude(receipt: ExportReceipt, where: str) -> int:
    """The exit code; `where` says where the JSON of unreadable leads is."""
    # `--max-items` asks for a part of the list: that it is one is no failure.
    if receipt.complete or (receipt.truncated and not receipt.unreadable):
        return DONE
    rest = f"; {where}" if receipt.unreadable else ""
    raise CommandFailedError(
        f"the export may not be complete: {in_one_line(receipt.reason or '')}{rest}"
    )


async def _export(order: ExportArguments, file: str, format_name: Any) -> ExportReceipt:
    with show_progress() as tell, as_wrong_usage():
        async with order.way.bulk() as bulk:
            return await bulk.export_leads(
                file,
                **_given(order.filters),
                format=format_name,
                **order.to.layout,
                force=order.to.force,
                resume=order.resume,
                on_progress=tell,
            )


async def _plan_export(order: ExportArguments) -> Plan:
    with as_wrong_usage():
        async with order.way.bulk() as bulk:
            return await bulk.plan_export(**_given(order.filters))


async def _sync(order: SyncArguments) -> SyncReceipt:
    with show_progress() as tell, as_wrong_usage():
        async with order.way.bulk() as bulk:
            return await bulk.sync_leads(
                order.database,
                table=order.table,
                **_given(order.choices),
                resume=order.resume,
                on_progress=tell,
            )


async def _plan_sync(order: SyncArguments) -> Plan:
    with as_wrong_usage():
        async with order.way.bulk() as bulk:
            return await bulk.plan_sync(order.database, table=order.table, **_given(order.choices))


@contextmanager
def as_wrong_usage() -> Iterator[None]:
    """What the client refuses before it sends anything is the fault of the words."""
    try:
        yield
    except ValueError as error:
        raise WrongUsageError(reason_of(error)) from error


def _given(filters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value not in (None, [])}
