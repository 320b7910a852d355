"""Calls of all kinds against a server that answers anything (`hostile_server.py`).

    python benchmarks/fuzz_wire.py --seconds 300        # the long form; 10 s without the option
    python benchmarks/fuzz_wire.py --case 4711          # one case again

Each case is one server and a few calls. It must hold: every call ends in time; it ends with a value
or with an error of `syncro_async.errors`; no error, log line or event shows the key, in whatever
spelling the server gave it; all of them stand on one line; and the memory of the process stays
within 150 MB of what it was at the start.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import html
import logging
import pickle
import platform
import random
import re
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from syncro_async import AsyncClient, Page, RateLimit, RetryPolicy, __version__
from syncro_async.dialects.pagination import Cursor
from syncro_async.errors import SyncroError

SERVER = Path(__file__).with_name("hostile_server.py")
KEY = "crm_Zq7wXv93kTfLb2RmYc8HdJ5n"
IN_TIME = 30.0
MEMORY = 150.0
PAGES = 40
MOST_FINDINGS = 20

Call = Callable[[AsyncClient], Awaitable[object]]


async def ahead(client: AsyncClient) -> object:
    """Read a list ahead."""
    async with client.leads.list(max_items=PAGES).prefetch(3) as leads:
        return [lead async for lead in leads]


async def pages(client: AsyncClient) -> object:
    """Read a list page by page, also over pages without items."""
    found = []
    async for page in client.leads.list(page_size=1).pages():
        found.append(len(page.items) + len(page.unreadable))
        if len(found) == PAGES:
            break
    return found


CALLS: dict[str, Call] = {
    "get": lambda client: client.leads.get(7, include=["owner", "tasks"]),
    "create": lambda client: client.leads.create(name="Ana", pipeline_id=1, stage_id=4),
    "upsert": lambda client: client.leads.upsert(email="ana@example.com"),
    "delete": lambda client: client.leads.delete(7),
    "tags": lambda client: client.leads.add_tags(7, ["vip"]),
    "message": lambda client: client.leads.send_whatsapp(7, body="Ol\u00e1"),
    "collect": lambda client: client.leads.list(max_items=PAGES).collect(),
    "pages": pages,
    "ahead": ahead,
    "first": lambda client: client.leads.list().first(),
    "count": lambda client: client.leads.list().count(),
    "tasks": lambda client: client.tasks.list(max_items=PAGES).collect(),
    "cursors": lambda client: client.paginate(
        "/x", paging=Cursor(query="cursor", field="next"), max_items=PAGES
    ).collect(),
    "users": lambda client: client.users.list(),
    "fields": lambda client: client.custom_fields.list(),
    "pipelines": lambda client: client.pipelines.list(),
    "webhooks": lambda client: client.webhooks.list(),
    "templates": lambda client: client.whatsapp.templates(),
    "account": lambda client: client.account.get(),
    "by hand": lambda client: client.request("GET", "/anything"),
    "by hand, typed": lambda client: client.request("POST", "/x", json={}, type=dict[str, int]),
}


@dataclass
class Fuzz:
    """What was done, and what was found."""

    port: int
    cases: int = 0
    values: int = 0
    errors: int = 0
    slowest: float = 0.0
    findings: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)

    async def case(self, seed: int) -> None:
        """Make a few calls to the server of that seed."""
        dice = random.Random(seed)  # noqa: S311 - it is to be the same each time
        for name in dice.sample(sorted(CALLS), 3):
            events: list[object] = []
            self.logged.clear()
            begun = time.perf_counter()
            try:
                error = await asyncio.wait_for(self._error_of(seed, name, events), IN_TIME)
            except TimeoutError:
                self._found(seed, name, f"did not end within {IN_TIME:g} s")
                continue
            self.slowest = max(self.slowest, time.perf_counter() - begun)
            self.errors += error is not None
            self.values += error is None
            if error is not None:
                self._judge(seed, name, error)
            self._judge_texts(seed, name, [*self.logged, *map(repr, events)])
        self.cases += 1

    async def _error_of(self, seed: int, name: str, events: list[object]) -> BaseException | None:
        retry = RetryPolicy(attempts=2, base_delay=0.0, max_elapsed=1.0)
        client = AsyncClient(
            KEY,
            base_url=f"http://127.0.0.1:{self.port}/{seed}",
            retry=retry,
            timeout=1.0,
            max_wait=0.5,
            rate_limit=RateLimit(10**6, 60.0),
            observers=[events.append],
        )
        async with client:
            try:
                await CALLS[name](client)
            except Exception as error:  # noqa: BLE001 - whatever comes is looked at
                return error
        return None

    def _judge(self, seed: int, name: str, error: BaseException) -> None:
        if not isinstance(error, SyncroError):
            text = "".join(traceback.format_exception(error))
            self._found(seed, name, f"raised {type(error).__name__}\n{text[-2000:]}")
            return
        frames = [
            f"{key}={value!r}"
            for frame, _ in traceback.walk_tb(error.__traceback__)
            if frame.f_code.co_filename != __file__
            for key, value in frame.f_locals.items()
            if not isinstance(value, Page | list)  # results are as the server sent them
        ]
        revived = pickle.loads(pickle.dumps(error))  # noqa: S301 - it is our own
        if str(revived) != str(error):
            self._found(seed, name, "changes when it is pickled")
        if not str(error).isprintable() or not error.message.isprintable():
            self._found(seed, name, f"does not stand on one line: {str(error)[:300]!r}")
        if len(str(error)) > 5_000:
            self._found(seed, name, f"its text has {len(str(error))} characters")
        shown = [str(error), repr(error), repr(vars(error)), repr(error.__cause__), *frames]
        self._judge_texts(seed, name, shown, one_line=False)

    def _judge_texts(
        self, seed: int, name: str, texts: list[str], *, one_line: bool = True
    ) -> None:
        for text in texts:
            if shows_key(text):
                self._found(seed, name, f"shows the key: {text[:300]!r}")
            if one_line and not text.isprintable():
                self._found(seed, name, f"does not stand on one line: {text[:300]!r}")

    def _found(self, seed: int, name: str, what: str) -> None:
        self.findings.append(f"case {seed}, {name}: {what}")


def shows_key(text: str) -> bool:
    """Whether the key, or a good part of it, can be read in the text."""
    text = text[:100_000]
    spellings = [text]
    for _ in range(3):
        last = spellings[-1].replace("\\\\", "\\")
        last = re.sub(r"\\+(?:u00|x)([0-9a-fA-F]{2})", lambda hit: chr(int(hit[1], 16)), last)
        spellings.append(html.unescape(unquote(last)))
    secrets = [KEY[start : start + 12].lower() for start in range(len(KEY) - 11)]
    secrets.append(KEY.encode().hex()[4:-4])
    secrets += [
        base64.b64encode(b"x" * shift + KEY.encode()).decode()[6:-6].lower() for shift in range(3)
    ]
    return any(secret in each.lower() for each in spellings for secret in secrets)


class Lines(logging.Handler):
    """Keeps what the package logs."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self._lines.append(record.getMessage())


def megabytes() -> float:
    """The most memory that this process ever had (MB)."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


async def fuzz(run: Fuzz, seconds: float, seeds: Iterable[int]) -> float:
    """Run cases for that long; returns the growth of the memory (MB)."""
    await Fuzz(run.port).case(0)  # what the first calls load is no growth
    before, ends = megabytes(), time.monotonic() + seconds
    for seed in seeds:
        await run.case(seed)
        grown = megabytes() - before
        if grown > MEMORY:
            run.findings.append(f"case {seed}: the memory grew by {grown:.0f} MB")
        if time.monotonic() > ends or len(run.findings) > MOST_FINDINGS:
            break
    return megabytes() - before


@contextmanager
def serving() -> Iterator[int]:
    """The hostile server in a process of its own; its port."""
    command = [sys.executable, str(SERVER)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        try:
            yield int(server.stdout.readline() if server.stdout else 0)
        finally:
            server.kill()


@contextmanager
def logging_to(lines: list[str]) -> Iterator[None]:
    """Keep all that the package logs, and print none of it."""
    logger, handler = logging.getLogger("syncro_async"), Lines(lines)
    level, passes_on = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = passes_on


def main(arguments: list[str] | None = None) -> int:
    """Run as asked; the exit code is 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long (s)")
    parser.add_argument("--seed", type=int, default=0, help="the first case")
    parser.add_argument("--case", type=int, default=None, help="this case alone")
    options: Any = parser.parse_args(arguments)
    only: int | None = options.case
    seeds = range(options.seed, sys.maxsize) if only is None else (only,)
    with serving() as port:
        run = Fuzz(port)
        with logging_to(run.logged):
            grown = asyncio.run(fuzz(run, options.seconds, seeds))
    print(f"syncro_async {__version__}, Python {platform.python_version()}, {platform.machine()}")
    print(
        f"{run.cases} cases: {run.values} values, {run.errors} errors;"
        f" memory + {grown:.0f} MB, the slowest call {run.slowest:.1f} s"
    )
    for finding in run.findings:
        print(finding)
    print("all holds" if not run.findings else f"{len(run.findings)} findings")
    return bool(run.findings)


if __name__ == "__main__":
    sys.exit(main())
