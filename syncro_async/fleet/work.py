"""Does the work of a job with the client of its account."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from syncro_async.bulk.importing.options import ImportArguments
from syncro_async.bulk.progress import OnProgress
from syncro_async.client import AsyncClient
from syncro_async.errors import ConfigurationError, InvalidArgumentError
from syncro_async.fleet.classify import Result
from syncro_async.fleet.jobs import AccountJob, Kind, digest_of
from syncro_async.models.receipts import shown
from syncro_async.resources.arguments import LeadFilters
from syncro_async.transport.values import file_path

_TIMES = ("updated_since", "created_from", "created_to")
_OURS = frozenset(
    {"journal", "failures", "report", "resume", "dry_run", "on_source", "on_progress"}
)
_IMPORT = frozenset({"rows", "match_by", "diff", "tags_mode", *ImportArguments.__annotations__})
OPTIONS: Mapping[Kind, frozenset[str]] = {
    "export": frozenset(
        {"page_size", "max_items", "format", "delimiter", "bom", "decimal", "verify"}
        | {*LeadFilters.__annotations__}
    ),
    "sync": frozenset({"table", "include", "full", "page_size"}),
    "import": _IMPORT - _OURS,
}
"""The options of each kind of job. Files and progress are the fleet's own."""


class Plan(NamedTuple):
    """The arguments of a job, the folder, its file, and the hash of the rows of an import."""

    arguments: dict[str, Any]
    folder: Path
    file: Path
    content: str = ""


def plan_of(job: AccountJob, folder: Path) -> Plan:
    """Check the options of a job, and find its file in the folder of the account.

    An import reads its file for the hash. Raises `ConfigurationError` for options that the kind
    does not have, and `OSError`.
    """
    unknown = sorted(job.options.keys() - OPTIONS[job.kind])
    if unknown:
        raise ConfigurationError(
            f"the options {', '.join(map(repr, unknown))} are none of the job {job.kind!r}; it has"
            f" {', '.join(sorted(OPTIONS[job.kind]))}"
        )
    given = {name: _as_time(name, value) for name, value in job.options.items()}
    if job.kind == "sync":
        return Plan(given, folder, folder / "leads.db")
    if job.kind == "export":
        form = given.get("format") or "jsonl"
        if form not in ("jsonl", "csv", "xlsx", "parquet"):
            raise InvalidArgumentError(
                f"format={shown(form)} must be jsonl, csv, xlsx or parquet", argument="format"
            )
        return Plan(given | {"format": form}, folder, folder / f"leads.{form}")
    if "rows" not in given:
        raise ConfigurationError("an import needs the option 'rows': the path of its file")
    source = file_path("rows", folder / given.pop("rows"))
    with source.open("rb") as file:
        return Plan(given, folder, source, hashlib.file_digest(file, "sha256").hexdigest())


async def do_work(
    client: AsyncClient, job: AccountJob, plan: Plan, *, resume: bool, on_progress: OnProgress
) -> Result:
    """Export, sync or import, continuing what an earlier run began.

    `resume`: False begins the journal of an import anew. Raises the errors of the job.
    """
    bulk, arguments, folder = client.bulk, plan.arguments, plan.folder
    if job.kind == "sync":
        return await bulk.sync_leads(plan.file, on_progress=on_progress, **arguments)
    if job.kind == "export":
        return await bulk.export_leads(plan.file, on_progress=on_progress, **arguments)
    stem, dot, suffixes = plan.file.name.partition(".")
    # The journal knows its rows and options. Other ones have another journal.
    return await bulk.upsert_leads(
        plan.file,
        journal=folder / f"import-{digest_of(job, plan.content)}.journal",
        failures=folder / f"{stem}.failed{dot}{suffixes}",
        resume=resume,
        on_progress=on_progress,
        **arguments,
    )


def _as_time(name: str, value: Any) -> Any:
    """The value of an option; a text that is a time becomes one, because JSON has no times."""
    if name not in _TIMES or not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
    except ValueError:
        raise InvalidArgumentError(
            f"{name}={shown(value)} must be a date or a time as ISO 8601 writes it:"
            " 2026-06-30 or 2026-06-30T10:00:00+00:00",
            argument=name,
        ) from None
