"""The commands of the command line: what each one asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import typer

from syncro_async.cli import options
from syncro_async.cli.budget import show_budget
from syncro_async.cli.demo import demo
from syncro_async.cli.doctor import see_doctor
from syncro_async.cli.endings import conclude
from syncro_async.cli.leads import Order, export_leads
from syncro_async.cli.logbook import logbook
from syncro_async.cli.serve import Serving, serve

Job = Callable[[], int]
"""What a command line asks for; it runs, and fails, outside of the parser."""


@dataclass(slots=True)
class Globals:
    """The options that stand before the command."""

    debug: bool = False


_KEY_NOTE = (
    "The API key is read from SYNCRO_API_KEY. There is no option for it, because the shell's "
    "history and the list of processes would show it."
)
_BUDGET_HELP = (
    "Show how the key's budget stands, as this process sees it; nothing is sent. A new process "
    "starts with a full budget unless SYNCRO_LIMITER names one that is shared."
)
_EXPORT_HELP = (
    "Export leads to FILE, which appears when the last one is written, or not at all; an earlier "
    "FILE is replaced. Leads that cannot be read go as they came to FILE.unreadable.jsonl, the "
    "others to FILE, and the exit code is 1; so it is when the server shows fewer leads than it "
    "counts. In CSV every field is a column, lists and objects are JSON, and text a spreadsheet "
    "would run as a formula gets an apostrophe in front (phones stay as they are)."
)
_DOCTOR_HELP = (
    "Look whether the key is good, which account and scopes it has, whether this machine's clock "
    "is right and how the budget stands. It sends seven requests at most, all of them reads; each "
    "line says what to do, and the exit code is 1 when something has to be mended."
)
_EXITS = "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."

app = typer.Typer(add_completion=False)
leads_app = typer.Typer(help="Leads.")
app.add_typer(leads_app, name="leads")


def run(argv: Sequence[str]) -> int:
    """Read the words, do what they ask, and return the exit code."""
    chosen = Globals()
    command = typer.main.get_command(app)
    try:
        # Not command.main(): it would give Ctrl-C and closed pipes an end of its own.
        with command.make_context("syncro", list(argv), obj=chosen) as words:
            job = command.invoke(words)
        with logbook(debug=chosen.debug):
            return int(job())
    except typer.Exit as done:  # --help and --version are done once they are read
        return done.exit_code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # every end is one line and a code
        return conclude(error, debug=chosen.debug)


@app.callback(help=f"The Syncro CRM API from the command line. {_KEY_NOTE} {_EXITS}")
def _globals(
    ctx: typer.Context,
    *,
    version: options.Version = False,  # noqa: ARG001  # its callback does the work
    debug: options.Debug = False,
) -> None:
    ctx.obj.debug = debug


@app.command("demo", help="Export a sandbox's whole lead book at the full budget; needs no key.")
def _demo(*, leads: options.HowMany = 30_000, minute: options.Minute = 5.0) -> Job:
    return partial(demo, leads, minute)


@app.command("sandbox", help="Serve an emulated API on a port until Ctrl-C; needs no key.")
def _sandbox(
    *,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8000,
    leads: options.HowMany = 100,
    minute: options.Minute = 60.0,
    window: options.CountedBy = "fixed",
    php_quirks: options.PhpQuirks = False,
) -> Job:
    return partial(serve, Serving(host, port, leads, minute, window, php_quirks))


@app.command("budget", help=f"{_BUDGET_HELP} {_KEY_NOTE}")
def _budget(*, base_url: options.BaseUrl = None) -> Job:
    return partial(show_budget, base_url)


@app.command("doctor", help=f"{_DOCTOR_HELP} {_KEY_NOTE}")
def _doctor(*, base_url: options.BaseUrl = None) -> Job:
    return partial(see_doctor, base_url)


@leads_app.command("export", help=f"{_EXPORT_HELP} {_KEY_NOTE} {_EXITS}")
def _export(
    file: options.File,
    *,
    form: options.Form = None,
    pipeline_id: options.PipelineId = None,
    stage_id: options.StageId = None,
    assigned_to: options.AssignedTo = None,
    source: options.Source = None,
    status: options.Status = None,
    tag: options.Tag = None,
    q: options.Q = None,
    updated_since: options.When = None,
    created_from: options.When = None,
    created_to: options.When = None,
    include: options.Include = None,
    max_items: options.MaxItems = None,
    page_size: options.PageSize = 200,
    base_url: options.BaseUrl = None,
) -> Job:
    filters = {
        "pipeline_id": pipeline_id,
        "stage_id": stage_id,
        "assigned_to": assigned_to,
        "source": source,
        "status": status,
        "tags": tag,
        "q": q,
        "updated_since": updated_since,
        "created_from": created_from,
        "created_to": created_to,
        "include": include,
        "max_items": max_items,
        "page_size": page_size,
    }
    return partial(export_leads, Order(file, form, base_url, filters))
