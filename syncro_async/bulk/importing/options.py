"""The options of an import, checked before anything is read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from syncro_async._internal.checks import is_int, is_number
from syncro_async.bulk.files.formats import as_path, check_suffix
from syncro_async.bulk.importing.fields import FieldMapping, Kind, definitions_from
from syncro_async.bulk.importing.plan import TagsMode
from syncro_async.bulk.importing.report import check_report
from syncro_async.bulk.importing.staging import Source
from syncro_async.bulk.job import JobContext
from syncro_async.bulk.progress import OnProgress
from syncro_async.errors import InvalidArgumentError
from syncro_async.resources.arguments import MatchBy
from syncro_async.transport.values import refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """The options of an import, with the names and meanings of `Bulk.upsert_leads`.

    Raises `InvalidArgumentError` for an option that is not valid.
    """

    kind: Kind
    rows: Source
    match_by: MatchBy = "email_or_phone"
    columns: Mapping[str, str | None] | None = None
    defaults: Mapping[str, Any] | None = None
    definitions: Iterable[Any] | None = None
    journal: Path | None = None
    failures: Path | None = None
    canary: int = 20
    max_failures: int | None = None
    server_time_limit: float = 30.0
    max_outage: float = 900.0
    diff: bool = True
    tags_mode: TagsMode = "add"
    allow_sales: bool = False
    report: Path | None = None
    dry_run: bool = False
    on_progress: OnProgress | None = None
    fields: FieldMapping = field(init=False)

    def __post_init__(self) -> None:
        source = as_path(self.rows)
        for path in filter(None, (source, self.failures)):
            check_suffix(path)
        for name, other in (("of the rows", source), ("of the journal", self.journal)):
            if other and self.failures and other.resolve() == self.failures.resolve():
                raise InvalidArgumentError(
                    f"failures must not be the file {name} ({self.failures}); name another file",
                    argument="failures",
                )
        for name in ("canary", "max_failures"):
            value = getattr(self, name)
            if value is not None and not (is_int(value) and value >= 0):
                raise refusal(name, "an int of 0 or more", value)
        for name in ("server_time_limit", "max_outage"):
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value < math.inf):
                raise refusal(name, "a number of seconds, 0 or more", value)
        if self.report is not None:
            check_report(self.report)
        if self.tags_mode not in get_args(TagsMode):
            raise refusal("tags_mode", f"one of {', '.join(get_args(TagsMode))}", self.tags_mode)
        known = None if self.definitions is None else definitions_from(self.definitions)
        fields = FieldMapping(self.kind, self.match_by, self.columns, self.defaults, known)
        object.__setattr__(self, "fields", fields)

    def facts(self, context: JobContext) -> dict[str, str]:
        """Return the settings that all runs with one journal must share."""
        return {
            "kind": self.kind,
            "match_by": self.match_by,
            "base_url": context.base_url,
            "columns": repr(sorted((self.columns or {}).items())),
            "defaults": repr(sorted((self.defaults or {}).items())),
            "diff": str(self.compares),
            "tags_mode": self.tags_mode,
        }

    @property
    def compares(self) -> bool:
        """Whether the leads of the rows are found before the first row is sent."""
        return self.kind == "upsert" and (self.diff or self.dry_run)
