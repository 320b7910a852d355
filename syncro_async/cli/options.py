"""The options and arguments of the commands, with their parsers and help texts."""

from __future__ import annotations

import datetime as dt
import sys
from typing import Annotated, Literal

import typer

from syncro_async import __version__
from syncro_async.cli.sandbox import Window


def when(text: str) -> dt.date:
    """Parse a date, or a datetime with a time zone; anything else is wrong usage."""
    try:
        if len(text) == len("2026-06-30"):
            return dt.date.fromisoformat(text)
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not a date like 2026-06-30 or 2026-06-30T10:00:00Z"
        ) from error
    if moment.utcoffset() is None:
        raise typer.BadParameter(f"{text!r} has no time zone: add Z or an offset like -03:00")
    return moment


def print_version(value: bool) -> None:
    """Print the version and end the parser, if the option is given."""
    if value:
        sys.stdout.write(f"syncro {__version__}\n")
        raise typer.Exit


File = Annotated[
    str,
    typer.Argument(metavar="FILE", help="A .jsonl, .csv, .xlsx or .parquet file, or - for stdout."),
]
Form = Annotated[
    Literal["jsonl", "csv", "xlsx", "parquet"] | None,
    typer.Option("--format", help="The format; default: FILE's suffix, jsonl for stdout."),
]
Delimiter = Annotated[
    Literal[",", ";", "|", "tab"], typer.Option(help="CSV: the character between cells.")
]
Bom = Annotated[bool, typer.Option("--bom", help="CSV: start with the mark that Excel needs.")]
Decimal = Annotated[Literal["point", "comma"], typer.Option(help="CSV: write 1234.5 or 1234,5.")]
Force = Annotated[
    bool, typer.Option("--force", help="Replace FILE also when no export has made it.")
]
Verify = Annotated[
    Literal["once", "twice"],
    typer.Option(help="To prove that no lead is missing: read old leads once, or all leads twice."),
]
PipelineId = Annotated[int | None, typer.Option(help="Only leads in this pipeline (id).")]
StageId = Annotated[int | None, typer.Option(help="Only leads in this stage (id).")]
AssignedTo = Annotated[int | None, typer.Option(help="Only leads of this user (id).")]
Source = Annotated[str | None, typer.Option(help="Only leads from this source.")]
Status = Annotated[str | None, typer.Option(help="Only leads with this status.")]
Tag = Annotated[
    list[str] | None,
    typer.Option("--tag", help="Only leads with this tag; repeatable: any of them."),
]
Q = Annotated[str | None, typer.Option("--q", help="Search by name, email or phone.")]
When = Annotated[
    dt.date | None,
    typer.Option(parser=when, metavar="WHEN", help="2026-06-30 or 2026-06-30T10:00:00Z."),
]
Include = Annotated[
    list[str] | None, typer.Option(help="Also load this relation, for example owner; repeatable.")
]
MaxItems = Annotated[int | None, typer.Option(help="The largest number of leads.")]
PageSize = Annotated[int, typer.Option(help="Leads for each request, 1 to 200.")]
DatabaseFile = Annotated[
    str, typer.Argument(metavar="DB", help="A SQLite file, or DuckDB where it ends in .duckdb.")
]
Table = Annotated[str, typer.Option(help="The table for the leads.")]
Full = Annotated[
    bool, typer.Option("--full", help="Read all leads again, and remove deleted ones.")
]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Only print how long it takes (at most one request).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Resume = Annotated[
    bool | None,
    typer.Option("--resume/--no-resume", help="Continue a stopped run, or start again."),
]
InLane = Annotated[
    Literal["interactive", "bulk"] | None,
    typer.Option("--lane", help="Default: bulk."),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The API's address; default: SYNCRO_BASE_URL, or Syncro."),
]

LimiterUrl = Annotated[
    str | None,
    typer.Option(
        "--limiter",
        metavar="URL",
        help="host, sqlite:///PATH or redis://HOST; default: SYNCRO_LIMITER, else host.",
    ),
]
Watch = Annotated[bool, typer.Option("--watch", help="Repeat until Ctrl-C.")]
Every = Annotated[float, typer.Option(min=0.1, help="The interval of --watch (s).")]
ForSeconds = Annotated[
    float | None,
    typer.Option("--for", min=0, metavar="SECONDS", help="Duration of --watch (s)."),
]

HowMany = Annotated[int, typer.Option(min=1, help="The number of sample leads in the sandbox.")]
Minute = Annotated[float, typer.Option(min=0.1, help="The length of its rate limit's minute (s).")]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="The TCP port; 0: any free one.")]
CountedBy = Annotated[Window, typer.Option("--window", help="The kind of the rate limit's window.")]
PhpQuirks = Annotated[bool, typer.Option("--php-quirks", help="Write JSON like a PHP server.")]

ImportFile = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help=("A .csv, .tsv, .txt, .xlsx, .jsonl or .parquet file, each also as .gz; - for stdin."),
    ),
]
Create = Annotated[
    bool, typer.Option("--create", help="A new lead for each row, instead of matching.")
]
MatchBy = Annotated[
    Literal["email", "phone", "email_or_phone"],
    typer.Option(help="How to find a row's lead."),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=FIELD",
        help="The column holds this field; A+B=FIELD: two columns together; repeatable.",
    ),
]
Ignore = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN", help="Leave the column out; repeatable.")
]
IgnoreOthers = Annotated[
    bool, typer.Option("--ignore-others", help="Leave out every column that holds no field.")
]
InLocale = Annotated[
    str | None,
    typer.Option(
        "--locale",
        metavar="NAME",
        help=("How numbers, dates and phones are written: pt-BR or en-US; default: SYNCRO_LOCALE."),
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of a text file; default: found from its bytes."),
]
HeaderRow = Annotated[
    int | None,
    typer.Option(min=1, metavar="LINE", help="The line of the column names; default: the first."),
]
OnBadRow = Annotated[
    Literal["stop", "set-aside"],
    typer.Option(help="Send nothing, or send the other rows, when a row cannot be imported."),
]
Default = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="FIELD=VALUE", help="For new leads whose row has no value; repeatable."
    ),
]
Diff = Annotated[
    bool,
    typer.Option(
        "--diff/--no-diff",
        help="Find the leads first and send only changes (default). Without, --set also changes "
        "leads that exist: it can move a won deal back to the first stage.",
    ),
]
TagsMode = Annotated[
    Literal["add", "replace", "skip"],
    typer.Option("--tags", help="What a row's tags do to a lead that exists."),
]
AllowSales = Annotated[
    bool,
    typer.Option("--allow-sales", help="Send rows with a won or lost stage: each records a deal."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would change; send nothing.")]
Canary = Annotated[int, typer.Option(min=0, help="Rows that are sent first, as a trial. 0: none.")]
MaxFailures = Annotated[
    int | None,
    typer.Option(min=0, help="Stop after more equal failures. Default: 20, or 1 % of the rows."),
]
ServerTimeLimit = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="How long the server may work on a request; waited after a lost answer.",
    ),
]
MaxOutage = Annotated[
    float,
    typer.Option(
        min=0, metavar="SECONDS", help="How long to wait for a server that is out of reach."
    ),
]
ReportFile = Annotated[
    str | None,
    typer.Option(
        "--report", metavar="PATH", help="A .jsonl file with a line for each row, for `undo`."
    ),
]
UndoReport = Annotated[
    str, typer.Argument(metavar="REPORT", help="The file that the import wrote with --report.")
]
UndoDryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be done; send nothing but reads.")
]
JournalFile = Annotated[
    str | None,
    typer.Option("--journal", metavar="PATH", help="Default: FILE.journal."),
]
FailuresFile = Annotated[
    str | None,
    typer.Option(
        "--failures",
        metavar="PATH",
        help="For rows that are not imported. Default: FILE with .failed in its name.",
    ),
]

AccountsFile = Annotated[
    str,
    typer.Argument(metavar="ACCOUNTS", help="A TOML file with a table for each account."),
]
FleetJob = Annotated[
    Literal["sync", "export", "import"],
    typer.Option("--job", help="What is done for each account."),
]
FleetFolder = Annotated[
    str,
    typer.Option("--folder", metavar="DIR", help="The folder; each account has one in it."),
]
AtOnce = Annotated[int, typer.Option(min=1, help="The accounts that are worked on at once.")]
DoneToo = Annotated[
    bool, typer.Option("--force", help="Also what is done for this UTC day already.")
]

Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors, and the log.")]
Version = Annotated[
    bool,
    typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True),
]
