"""The options of an import, checked before anything is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async._internal.checks import is_int, is_number
from syncro_async.bulk.files.encodings import checked_encoding
from syncro_async.bulk.files.inputs import STDIN, split_suffix
from syncro_async.bulk.files.locales import locale_named
from syncro_async.bulk.files.reading import as_path
from syncro_async.bulk.importing.fields import FieldMapping, Kind, definitions_from
from syncro_async.bulk.importing.plan import TagsMode
from syncro_async.bulk.importing.report import check_report
from syncro_async.bulk.importing.staging import Source, SourceOptions
from syncro_async.bulk.job import JobContext
from syncro_async.bulk.progress import OnProgress
from syncro_async.errors import InvalidArgumentError
from syncro_async.models.receipts import SourceReport
from syncro_async.resources.arguments import MatchBy
from syncro_async.resources.keywords import check_names
from syncro_async.transport.values import check_folder, refusal

OnBadRow = Literal["stop", "set-aside"]
OnSource = Callable[[SourceReport], object]


class ReadingArguments(TypedDict, total=False):
    """The arguments about the rows; `Bulk.upsert_leads` says what each means."""

    columns: Mapping[str, str | None] | None
    defaults: Mapping[str, Any] | None
    definitions: Iterable[Any] | None
    journal: str | PathLike[str] | None
    locale: str | None
    on_bad_row: OnBadRow
    encoding: str | None
    header_row: int | None
    ignore_others: bool


class ImportArguments(ReadingArguments, total=False):
    """The arguments that every import takes; `Bulk.upsert_leads` says what each means."""

    failures: str | PathLike[str] | None
    canary: int
    max_failures: int | None
    resume: bool
    server_time_limit: float
    max_outage: float
    allow_sales: bool
    report: str | PathLike[str] | None
    dry_run: bool
    on_source: OnSource | None
    on_progress: OnProgress | None


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
    locale: str | None = None
    on_bad_row: OnBadRow = "stop"
    encoding: str | None = None
    header_row: int | None = None
    ignore_others: bool = False
    resume: bool = True
    on_source: OnSource | None = None
    fields: FieldMapping = field(init=False)

    def __post_init__(self) -> None:
        source = as_path(self.rows)
        for path in filter(None, (source, self.failures)):
            if str(path) != STDIN or path is self.failures:
                split_suffix(path, "rows" if path is source else "failures")
        self._check_files(source)
        for name in ("canary", "max_failures"):
            value = getattr(self, name)
            if value is not None and not (is_int(value) and value >= 0):
                raise refusal(name, "an int of 0 or more", value)
        for name in ("server_time_limit", "max_outage"):
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value < math.inf):
                raise refusal(name, "a number of seconds, 0 or more", value)
        self._check_choices()
        self._check_reading()
        known = None if self.definitions is None else definitions_from(self.definitions)
        fields = FieldMapping(
            self.kind,
            self.match_by,
            self.columns,
            self.defaults,
            known,
            locale=locale_named(self.locale),
            ignore_others=self.ignore_others,
            compared=self.compares,
        )
        object.__setattr__(self, "fields", fields)

    def _check_files(self, source: Path | None) -> None:
        """Check that no two of the files are the same one, and that their folders are there."""
        files = [("rows", source), ("journal", self.journal), ("failures", self.failures)]
        known: dict[Path, str] = {}
        for argument, path in (*files, ("report", self.report)):
            if path is None or (path is source and str(path) == STDIN):
                continue
            check_folder(path)
            other = known.setdefault(path.resolve(), argument)
            if other != argument:
                raise InvalidArgumentError(
                    ArgumentText(
                        Argument(argument),
                        f" must not be the file of the {other} ({path}); name another file",
                    ),
                    argument=argument,
                )

    def _check_choices(self) -> None:
        """Check the report and what is done with tags."""
        if self.report is not None:
            check_report(self.report)
        if self.tags_mode not in get_args(TagsMode):
            raise refusal("tags_mode", f"one of {', '.join(get_args(TagsMode))}", self.tags_mode)

    def _check_reading(self) -> None:
        """Check the options of reading."""
        if self.on_bad_row not in ("stop", "set-aside"):
            raise refusal("on_bad_row", "'stop' or 'set-aside'", self.on_bad_row)
        if self.header_row is not None and not (is_int(self.header_row) and self.header_row >= 1):
            raise refusal("header_row", "the number of a line, from 1", self.header_row)
        if self.encoding is not None:
            checked_encoding(self.encoding)

    def source(self, failures: Path | None) -> SourceOptions:
        """How the rows are read; `failures` is the file for those that cannot be imported."""
        return SourceOptions(
            self.encoding,
            self.header_row,
            self.on_bad_row == "set-aside",
            failures,
            self.on_source,
        )

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
            "locale": str(self.fields.locale and self.fields.locale.name),
        }

    @property
    def compares(self) -> bool:
        """Whether the leads of the rows are found before the first row is sent."""
        return self.kind == "upsert" and (self.diff or self.dry_run)


ARGUMENT_DEFAULTS = {one.name: one.default for one in fields(ImportOptions) if one.init}
"""What each argument is when it is not given."""


def options_of(
    kind: Kind,
    rows: Source,
    arguments: Mapping[str, Any],
    context: JobContext,
    keys: type = ImportArguments,
    **compared: Any,
) -> ImportOptions:
    """The options of an import, from the arguments of its method.

    `keys`: the TypedDict of `arguments`. `compared`: the arguments of upserts only. Raises
    `UnknownArgumentError` for an argument that the method does not have.
    """
    check_names(f"an import ({kind})", arguments, keys.__annotations__)
    given = {**compared, **arguments}
    for name in {"journal", "failures", "report"} & given.keys():
        given[name] = as_path(given[name], name)
    given["locale"] = given.get("locale") or context.locale
    return ImportOptions(kind=kind, rows=rows, **given)
