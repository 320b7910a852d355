"""The options and arguments of the commands: how each is written, read and explained."""

from __future__ import annotations

import datetime as dt
import sys
from typing import Annotated, Literal

import typer

from syncro_async import __version__
from syncro_async.cli.sandbox import Window


def when(text: str) -> dt.date:
    """A date, or a datetime with its time zone; anything else is wrong usage."""
    try:
        if len(text) == len("2026-06-30"):
            return dt.date.fromisoformat(text)
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is neither 2026-06-30 nor 2026-06-30T10:00:00Z"
        ) from error
    if moment.utcoffset() is None:
        raise typer.BadParameter(f"{text!r} has no time zone: end it in Z or an offset like -03:00")
    return moment


def print_version(value: bool) -> None:
    """Print the version and stop reading, when asked to."""
    if value:
        sys.stdout.write(f"syncro {__version__}\n")
        raise typer.Exit


File = Annotated[
    str, typer.Argument(metavar="FILE", help="A .jsonl, .csv or .parquet file, or - for stdout.")
]
Form = Annotated[
    Literal["jsonl", "csv", "parquet"] | None,
    typer.Option("--format", help="Else FILE's suffix decides; jsonl for stdout."),
]
PipelineId = Annotated[int | None, typer.Option(help="In this pipeline.")]
StageId = Annotated[int | None, typer.Option(help="In this stage.")]
AssignedTo = Annotated[int | None, typer.Option(help="Of this user (id).")]
Source = Annotated[str | None, typer.Option(help="From this source.")]
Status = Annotated[str | None, typer.Option(help="Of this status.")]
Tag = Annotated[
    list[str] | None, typer.Option("--tag", help="With this tag; repeated: with any of them.")
]
Q = Annotated[str | None, typer.Option("--q", help="Search by name, email or phone.")]
When = Annotated[
    dt.date | None,
    typer.Option(parser=when, metavar="WHEN", help="2026-06-30 or 2026-06-30T10:00:00Z."),
]
Include = Annotated[
    list[str] | None, typer.Option(help="Load this relation, too (owner, notes…); repeatable.")
]
MaxItems = Annotated[int | None, typer.Option(help="No more leads than this.")]
PageSize = Annotated[int, typer.Option(help="Leads a request, 1 to 200.")]
DatabaseFile = Annotated[
    str, typer.Argument(metavar="DB", help="A SQLite file, or DuckDB where it ends in .duckdb.")
]
Table = Annotated[str, typer.Option(help="The table that holds the leads.")]
Full = Annotated[
    bool, typer.Option("--full", help="Read everything again, and remove what is gone.")
]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Only say how long it will take (one request at most).")
]
Resume = Annotated[
    bool | None,
    typer.Option("--resume/--no-resume", help="Go on with a run that was stopped, or forget it."),
]
InLane = Annotated[
    Literal["interactive", "bulk"] | None, typer.Option("--lane", help="Else the bulk lane.")
]
BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where the API is; else SYNCRO_BASE_URL, else the service."),
]

LimiterUrl = Annotated[
    str | None,
    typer.Option(
        "--limiter",
        metavar="URL",
        help="Where the budget is kept: sqlite:///… or redis://…; else SYNCRO_LIMITER.",
    ),
]
Watch = Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")]
Every = Annotated[float, typer.Option(min=0.1, help="How often to look (s), with --watch.")]
ForSeconds = Annotated[
    float | None, typer.Option("--for", min=0, metavar="SECONDS", help="End --watch after that.")
]

HowMany = Annotated[int, typer.Option(min=1, help="How many sample leads the sandbox holds.")]
Minute = Annotated[float, typer.Option(min=0.1, help="How long its minute lasts (s).")]
Host = Annotated[str, typer.Option(help="Where to listen.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="0: any free one.")]
CountedBy = Annotated[Window, typer.Option("--window", help="How it counts a minute.")]
PhpQuirks = Annotated[
    bool, typer.Option("--php-quirks", help="Write JSON the way a PHP server may.")
]

ImportFile = Annotated[str, typer.Argument(metavar="FILE", help="A .csv, .jsonl or .parquet file.")]
Create = Annotated[
    bool, typer.Option("--create", help="A new lead for each row, instead of matching.")
]
MatchBy = Annotated[
    Literal["email", "phone", "email_or_phone"], typer.Option(help="What a row's lead is told by.")
]
Column = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN=FIELD", help="The column holds this field; repeatable."),
]
Ignore = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN", help="Leave the column out; repeatable.")
]
Default = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="For rows without a value; repeatable."),
]
Diff = Annotated[bool, typer.Option("--diff", help="Read all leads first, send only changes.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would change; send nothing.")]
Canary = Annotated[int, typer.Option(min=0, help="So many rows go first, alone. 0: none.")]
MaxFailures = Annotated[
    int | None,
    typer.Option(min=0, help="More failures alike stop the job. Else 20, or 1 % of the rows."),
]
JournalFile = Annotated[
    str | None, typer.Option("--journal", metavar="PATH", help="Else FILE.journal.")
]
FailuresFile = Annotated[
    str | None, typer.Option("--failures", metavar="PATH", help="Else FILE with .failed in it.")
]

Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors, and the log.")]
Version = Annotated[
    bool,
    typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True),
]
