"""`syncro fleet run`: one job for each account of a file, side by side in one process."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from syncro_async import Progress
from syncro_async.cli.exits import DONE, CommandFailedError, in_one_line, say
from syncro_async.cli.output import duration, print_json
from syncro_async.cli.session import limiter_url
from syncro_async.fleet import Accounts, JobReceipt, Kind, run_fleet

# The table on a terminal is drawn anew so often (times a second), and it leaves room for so many
# other lines.
_REDRAWS = 4
_OTHER_LINES = 6
_COUNTS = ("fetched", "written", "total")
_COLORS = {"done": "green", "failed": "red"}


@dataclass(frozen=True, slots=True)
class FleetArguments:
    """The words of the command."""

    accounts: str
    job: Kind
    folder: str
    at_once: int
    force: bool
    limiter: str | None
    base_url: str | None
    as_json: bool


@dataclass(slots=True)
class Row:
    """What the table shows of an account."""

    state: str = "waits"
    done: int | None = None
    total: int | None = None
    requests: int = 0
    seconds: float = 0.0
    reason: str = ""

    def take(self, what: Progress | JobReceipt) -> None:
        """Take over a progress or a receipt."""
        self.requests, self.seconds = what.requests, what.seconds
        if isinstance(what, Progress):
            self.state, self.done, self.total = what.phase, what.done, what.total
            return
        self.state = "done before" if what.skipped else what.outcome
        self.reason = in_one_line(what.reason or "")
        if what.result is not None:
            self.done = next(what.result[name] for name in _COUNTS if name in what.result)
            self.total = self.done

    def cells(self, name: str) -> list[Text]:
        """The cells of its line."""
        leads = "" if self.done is None else str(self.done)
        if self.total not in (None, self.done):
            leads += f"/{self.total}"
        texts = (leads, str(self.requests), duration(self.seconds), self.reason)
        state = Text(self.state, style=_COLORS.get(self.state, ""))
        return [Text(name), state, *(Text(text) for text in texts)]


@dataclass(slots=True)
class View:
    """The accounts and what became of them so far."""

    rows: dict[str, Row]
    ended: set[str] = field(default_factory=set)

    def take(self, name: str, what: Progress | JobReceipt) -> bool:
        """Take note of a progress or a receipt; True when the account is at its end."""
        self.rows[name].take(what)
        is_end = isinstance(what, JobReceipt) and what.come_back_at is None
        if is_end:
            self.ended.add(name)
        return is_end

    def table(self, most: int | None = None) -> Table:
        """The table, at most so many lines of it: first those of accounts that are at work."""
        names = [*self.rows]
        if most is not None and len(names) > most:
            names.sort(key=lambda name: (name in self.ended, self.rows[name].state == "waits"))
            names = names[:most]
        table = Table(caption=self.caption(), caption_justify="left")
        for title in ("account", "state"):
            table.add_column(title, no_wrap=True)
        for title in ("leads", "requests", "time"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("reason")
        for name in names:
            table.add_row(*self.rows[name].cells(name))
        return table

    def caption(self) -> str:
        """The numbers of accounts in each state."""
        states = Counter(row.state for row in self.rows.values())
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        return f"{len(self.rows)} accounts: {counts}"


def run_accounts(arguments: FleetArguments) -> int:
    """Run the job of every account, and print what became of it.

    Raises `CommandFailedError` when an account is not done, after a line with the reason of each.
    """
    accounts = Accounts.read(arguments.accounts)
    _allow_many_files()
    view = View({name: Row() for name in accounts})
    return _conclude(_receipts(arguments, accounts, view), view, as_json=arguments.as_json)


def _receipts(arguments: FleetArguments, accounts: Accounts, view: View) -> Sequence[JobReceipt]:
    with _kept_in(arguments.folder), _shown(view) as tell:
        return asyncio.run(_run(arguments, accounts, tell))


@contextmanager
def _kept_in(folder: str) -> Iterator[None]:
    """Say how to go on when the block is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"syncro: what was done is kept in {folder}; the same command goes on")
        raise


async def _run(arguments: FleetArguments, accounts: Accounts, tell: Any) -> Sequence[JobReceipt]:
    return await run_fleet(
        accounts.jobs(arguments.job),
        keys=accounts,
        folder=arguments.folder,
        limiter=limiter_url(arguments.limiter),
        at_once=arguments.at_once,
        force=arguments.force,
        on_account=tell,
        base_url=arguments.base_url,
    )


def _conclude(receipts: Sequence[JobReceipt], view: View, *, as_json: bool) -> int:
    if as_json:
        print_json(receipts)
    else:
        _print(view.table())
    failed = [receipt for receipt in receipts if receipt.outcome != "done"]
    for receipt in failed:
        say(f"syncro: account {receipt.account}: {in_one_line(receipt.reason or '')}")
    if failed:
        raise CommandFailedError(f"{len(failed)} of {len(receipts)} accounts are not done")
    return DONE


@contextmanager
def _shown(view: View) -> Iterator[Any]:
    """Yield a function that shows what becomes of accounts: in a table, or in lines of a log."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:

        def tell(name: str, what: Progress | JobReceipt) -> None:
            if view.take(name, what):
                row = view.rows[name]
                reason = f": {row.reason}" if row.reason else ""
                say(f"{name}: {row.state}, {row.requests} requests{reason}")

        yield tell
        return

    def drawn() -> Table:
        return view.table(max(1, console.height - _OTHER_LINES))

    with Live(console=console, get_renderable=drawn, refresh_per_second=_REDRAWS, transient=True):
        yield view.take


def _print(table: Table) -> None:
    console = Console(file=sys.stdout)
    # In a file or a pipe nothing is cut off.
    width = None if console.is_terminal else 200
    console.print(table, width=width)


def _allow_many_files() -> None:
    """Let this process open as many files and sockets as the system admits."""
    with suppress(ImportError, OSError, ValueError):
        resource: Any = import_module("resource")  # Windows has no such module
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
