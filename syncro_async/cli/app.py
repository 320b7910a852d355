"""The commands of the command line and their options."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import typer

from syncro_async.cli import options
from syncro_async.cli.budget import BudgetArguments, show_budget
from syncro_async.cli.demo import demo
from syncro_async.cli.doctor import run_doctor
from syncro_async.cli.exits import DONE, report_exit, warnings_as_lines
from syncro_async.cli.export_sync import (
    ExportArguments,
    ExportFile,
    SyncArguments,
    export_leads,
    sync_leads,
)
from syncro_async.cli.fleet import FleetArguments, run_accounts
from syncro_async.cli.import_leads import import_leads, order_of
from syncro_async.cli.output import configure_logging
from syncro_async.cli.sandbox import SandboxArguments, serve
from syncro_async.cli.session import Connection
from syncro_async.cli.undo import undo_import

Job = Callable[[], int]
"""The work of a command; it runs after the parser has ended, so that its errors are ours."""


@dataclass(slots=True)
class Globals:
    """The options before the name of the command."""

    debug: bool = False


_KEY_NOTE = (
    "The API key is read from SYNCRO_API_KEY. There is no option for it, because the shell's "
    "history and the list of processes would show it."
)
_BUDGET_HELP = (
    "Show the key's request budget; this sends no request. The calls of other programs are "
    "included when they use the same limiter: that of this machine (host), or the one that "
    "--limiter or SYNCRO_LIMITER names."
)
_EXPORT_HELP = (
    "Export leads to FILE, which appears when it is complete. An earlier export is replaced, any "
    "other file only with --force. The list is read until it is proved "
    "that no lead was missed while others were created and deleted; if that cannot be proved, the "
    "exit code is 1. After an interruption the leads read so far are kept in FILE.resume, and the "
    "same command continues. Leads that cannot be read are written to FILE.unreadable.jsonl, and "
    "the exit code is 1. In CSV every field is a column, lists and objects are JSON, and a text "
    "that a spreadsheet would run as a formula gets an apostrophe in front (phones do not)."
)
_SYNC_HELP = (
    "Bring a table of DB up to date: a SQLite file, or DuckDB where it ends in .duckdb. The first "
    "run reads everything, the next ones what has changed since; --full reads everything again "
    "and removes what is gone. Safe to run from cron: of two at once one ends with an error, and "
    "one that was killed is made up for by the next."
)
_IMPORT_HELP = (
    "Import leads from FILE: a row updates the lead of its email or phone, or creates one. All "
    "rows are checked before the first is sent. FILE.journal remembers what was done until all is: "
    "after Ctrl-C or a crash, --resume goes on and creates no lead twice. Rows that fail go to a "
    "separate file, to be corrected and imported again, and the exit code is 1."
)
_UNDO_HELP = (
    "Take an import back by its report: the leads that it created are deleted, and the fields that "
    "it changed get their old values. What was changed since, or was empty before, stays as it is "
    "and is listed. Run it with --dry-run first."
)
_FILTERS = (
    *("pipeline_id", "stage_id", "assigned_to", "source", "status", "tags", "q", "updated_since"),
    *("created_from", "created_to", "include", "max_items", "page_size"),
)
_DOCTOR_HELP = (
    "Check the key, its account and scopes, this machine's clock and the request budget. It sends "
    "at most seven requests, all of them reads. Each line says what to do; the exit code is 1 when "
    "there is an error."
)
_FLEET_HELP = (
    "Run one job for each account of the TOML file ACCOUNTS, side by side in this process. Each "
    "account has a table, [accounts.NAME], with key_env or key_file, and where wanted base_url, "
    "limiter and options. DIR/NAME has leads.db (sync) or leads.jsonl (export), and receipt.json. "
    "What is done for the UTC day is not done again; after an interruption the same command goes "
    "on. An account that fails stops no other one, and the exit code is 1."
)
_EXITS = "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."

# The help is plain text: it fits any width and any encoding.
_STYLE: dict[str, Any] = {
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "invoke_without_command": True,
}
_COMPLETION = "_SYNCRO_COMPLETE"

app = typer.Typer(**_STYLE)
leads_app = typer.Typer(**_STYLE)
app.add_typer(leads_app, name="leads")
fleet_app = typer.Typer(**_STYLE)
app.add_typer(fleet_app, name="fleet")


def run(argv: Sequence[str]) -> int:
    """Parse the words, run the command, and return the exit code.

    `argv`: the words after the command's name.
    """
    global_options = Globals()
    command = typer.main.get_command(app)
    if _COMPLETION in os.environ:
        return _complete(command)
    try:
        # Not command.main(): it handles Ctrl-C and closed pipes itself.
        with command.make_context("syncro", list(argv), obj=global_options) as context:
            job = command.invoke(context)
        with configure_logging(debug=global_options.debug), warnings_as_lines():
            return int(job())
    except typer.Exit as done:  # --help and --version end in the parser
        return done.exit_code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # every error is one line and a code
        return report_exit(error, debug=global_options.debug)


def _complete(command: Any) -> int:
    """Answer the shell's completion, which asks by an environment variable."""
    with suppress(SystemExit):
        command.main([], prog_name="syncro")
    return DONE


def _print_help_if_bare(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        sys.stdout.write(f"{ctx.get_help()}\n")
        raise typer.Exit


@app.callback(help=f"The Syncro CRM API from the command line. {_KEY_NOTE} {_EXITS}")
def _globals(
    ctx: typer.Context,
    *,
    version: options.Version = False,  # noqa: ARG001  # the option's callback prints it
    debug: options.Debug = False,
) -> None:
    ctx.obj.debug = debug
    _print_help_if_bare(ctx)


@leads_app.callback()
def _leads(ctx: typer.Context) -> None:
    """Export, import and sync leads."""
    _print_help_if_bare(ctx)


@fleet_app.callback()
def _fleet(ctx: typer.Context) -> None:
    """Run a job for many accounts."""
    _print_help_if_bare(ctx)


@app.command(
    "demo",
    short_help="Try export, import and sync; no key.",
    help=(
        "Export, import and sync with a sandbox at full speed; it needs no key. The files are kept "
        "in the folder syncro-demo."
    ),
)
def _demo(*, leads: options.HowMany = 30_000, minute: options.Minute = 5.0) -> Job:
    return partial(demo, leads, minute)


@app.command(
    "sandbox",
    short_help="Serve an emulated API; no key.",
    help="Serve an emulated API on a port until Ctrl-C; it needs no key.",
)
def _sandbox(
    *,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8000,
    leads: options.HowMany = 100,
    minute: options.Minute = 60.0,
    window: options.CountedBy = "fixed",
    php_quirks: options.PhpQuirks = False,
) -> Job:
    return partial(serve, SandboxArguments(host, port, leads, minute, window, php_quirks))


@app.command(
    "budget", short_help="Show the key's request budget.", help=f"{_BUDGET_HELP} {_KEY_NOTE}"
)
def _budget(
    *,
    base_url: options.BaseUrl = None,
    limiter: options.LimiterUrl = None,
    watch: options.Watch = False,
    every: options.Every = 0.5,
    seconds: options.ForSeconds = None,
    as_json: options.AsJson = False,
) -> Job:
    arguments = BudgetArguments(base_url, limiter, watch, every, seconds, as_json)
    return partial(show_budget, arguments)


@app.command(
    "doctor", short_help="Check key, account, clock and budget.", help=f"{_DOCTOR_HELP} {_KEY_NOTE}"
)
def _doctor(
    *,
    base_url: options.BaseUrl = None,
    limiter: options.LimiterUrl = None,
    as_json: options.AsJson = False,
) -> Job:
    return partial(run_doctor, base_url, limiter, as_json=as_json)


@leads_app.command(
    "export", short_help="Export leads to a file.", help=f"{_EXPORT_HELP} {_KEY_NOTE} {_EXITS}"
)
def _export(
    file: options.File,
    *,
    form: options.Form = None,
    delimiter: options.Delimiter = ",",
    bom: options.Bom = False,
    decimal: options.Decimal = "point",
    force: options.Force = False,
    pipeline_id: options.PipelineId = None,
    stage_id: options.StageId = None,
    assigned_to: options.AssignedTo = None,
    source: options.Source = None,
    status: options.Status = None,
    tags: options.Tag = None,
    q: options.Q = None,
    updated_since: options.When = None,
    created_from: options.When = None,
    created_to: options.When = None,
    include: options.Include = None,
    max_items: options.MaxItems = None,
    page_size: options.PageSize = 200,
    verify: options.Verify = "once",
    plan: options.PlanOnly = False,
    resume: options.Resume = True,
    lane: options.InLane = None,
    limiter: options.LimiterUrl = None,
    base_url: options.BaseUrl = None,
    as_json: options.AsJson = False,
) -> Job:
    given = locals()
    filters = {name: given[name] for name in (*_FILTERS, "verify")}
    connection = Connection(base_url, lane, limiter)
    separator = "\t" if delimiter == "tab" else delimiter
    layout = {"delimiter": separator, "bom": bom, "decimal": decimal}
    to = ExportFile(file, form, layout, force)
    return partial(
        export_leads, ExportArguments(to, filters, connection, bool(resume), plan, as_json)
    )


@leads_app.command(
    "import", short_help="Import leads from a file.", help=f"{_IMPORT_HELP} {_KEY_NOTE} {_EXITS}"
)
def _import(
    file: options.ImportFile,
    *,
    create: options.Create = False,
    match_by: options.MatchBy = "email_or_phone",
    column: options.Column = None,
    ignore: options.Ignore = None,
    ignore_others: options.IgnoreOthers = False,
    locale: options.InLocale = None,
    encoding: options.Encoding = None,
    header_row: options.HeaderRow = None,
    on_bad_row: options.OnBadRow = "stop",
    default: options.Default = None,
    diff: options.Diff = True,
    tags: options.TagsMode = "add",
    allow_sales: options.AllowSales = False,
    report: options.ReportFile = None,
    dry_run: options.DryRun = False,
    plan: options.PlanOnly = False,
    canary: options.Canary = 20,
    max_failures: options.MaxFailures = None,
    server_time_limit: options.ServerTimeLimit = 30.0,
    max_outage: options.MaxOutage = 900.0,
    journal: options.JournalFile = None,
    failures: options.FailuresFile = None,
    resume: options.Resume = None,
    lane: options.InLane = None,
    limiter: options.LimiterUrl = None,
    base_url: options.BaseUrl = None,
    as_json: options.AsJson = False,
) -> Job:
    return partial(import_leads, order_of(locals()))


@leads_app.command(
    "undo", short_help="Take an import back.", help=f"{_UNDO_HELP} {_KEY_NOTE} {_EXITS}"
)
def _undo(
    report: options.UndoReport,
    *,
    dry_run: options.UndoDryRun = False,
    lane: options.InLane = None,
    limiter: options.LimiterUrl = None,
    base_url: options.BaseUrl = None,
) -> Job:
    return partial(undo_import, report, Connection(base_url, lane, limiter), dry_run=dry_run)


@leads_app.command(
    "sync", short_help="Sync leads to a database.", help=f"{_SYNC_HELP} {_KEY_NOTE} {_EXITS}"
)
def _sync(
    database: options.DatabaseFile,
    *,
    table: options.Table = "leads",
    full: options.Full = False,
    include: options.Include = None,
    page_size: options.PageSize = 200,
    plan: options.PlanOnly = False,
    resume: options.Resume = True,
    lane: options.InLane = None,
    limiter: options.LimiterUrl = None,
    base_url: options.BaseUrl = None,
    as_json: options.AsJson = False,
) -> Job:
    choices = {"full": full, "include": include, "page_size": page_size}
    connection = Connection(base_url, lane, limiter)
    return partial(
        sync_leads, SyncArguments(database, table, choices, connection, bool(resume), plan, as_json)
    )


@fleet_app.command(
    "run", short_help="Run a job for each account of a file.", help=f"{_FLEET_HELP} {_EXITS}"
)
def _fleet_run(
    accounts: options.AccountsFile,
    *,
    job: options.FleetJob = "sync",
    folder: options.FleetFolder = "fleet",
    at_once: options.AtOnce = 200,
    force: options.DoneToo = False,
    limiter: options.LimiterUrl = None,
    base_url: options.BaseUrl = None,
    as_json: options.AsJson = False,
) -> Job:
    arguments = FleetArguments(accounts, job, folder, at_once, force, limiter, base_url, as_json)
    return partial(run_accounts, arguments)
