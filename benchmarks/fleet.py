"""Runs fleets of accounts on real workers, kills workers, and lets the server count.

    python -m benchmarks.fleet [taskiq] [celery] [command] [import] [--accounts 200] [--kills 10]

Redis, the workers and the server are processes of their own on the loopback. One key of the fleet
is revoked and one account is suspended. Kills are SIGKILL of a whole worker while it sends, and
another worker is started. It has to hold that every other account is complete and has each lead
once, that two clear failures remain, that the server answers no 429, that no account is run by two
workers at once, and that no key is in Redis, in the receipts or in the logs. Without kills the
makespan is held against the larger of the slowest account's budget and the workers' CPU.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fleet_server import Asked, FleetServer, Settings, fleet_server
from tests.redis_server import RedisServer, running

ROOT = Path(__file__).parent.parent
GUARD = 0.25
PAGE = 5
READINGS = 2
# The request that reads whose account it is.
FIRST = 1

COMMANDS = {
    "taskiq": (
        *("-m", "taskiq", "worker", "examples.fleet_taskiq:broker"),
        *("--workers", "1", "--max-async-tasks", "AT_ONCE", "--log-level", "WARNING"),
    ),
    "celery": (
        *("-m", "celery", "-q", "-A", "examples.fleet_celery", "worker", "--pool", "threads"),
        *(
            "--concurrency",
            "AT_ONCE",
            "--loglevel",
            "WARNING",
            "--without-gossip",
            "--without-mingle",
        ),
    ),
}


def command_of(engine: str, at_once: int) -> list[str]:
    """The command of one worker that works on so many accounts at once."""
    return [str(at_once) if word == "AT_ONCE" else word for word in COMMANDS[engine]]


@dataclass(slots=True)
class Fleet:
    """The accounts of a run, their keys, and the folder that the workers share."""

    folder: Path
    settings: Settings
    refused: frozenset[str]

    @property
    def accounts(self) -> Path:
        """The file of the accounts."""
        return self.folder / "accounts.toml"

    @property
    def data(self) -> Path:
        """The folder of the jobs."""
        return self.folder / "data"

    def environment(self, url: str, redis: str, reclaim: float) -> dict[str, str]:
        """What a worker finds in its environment."""
        keys = {_variable(name): key for name, key in self.settings.keys.items()}
        plain = {name: text for name, text in os.environ.items() if not name.startswith("SYNCRO_")}
        return {
            **plain,
            **keys,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "FLEET_ACCOUNTS": str(self.accounts),
            "FLEET_FOLDER": str(self.data),
            "FLEET_REDIS": f"{redis}/0",
            "FLEET_RECLAIM": str(reclaim),
            "SYNCRO_LIMITER": f"{redis}/1",
            "SYNCRO_BASE_URL": url,
            "SYNCRO_RATE_LIMIT": f"60/{self.settings.minute:g}",
        }

    def receipts(self) -> dict[str, dict[str, Any]]:
        """The receipts that are there, by account."""
        found = {}
        for file in self.data.glob("*/receipt.json"):
            found[file.parent.name] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def is_over(self) -> bool:
        """Whether every account is at its end."""
        ends = [each["outcome"] in {"done", "failed"} for each in self.receipts().values()]
        return len(ends) == len(self.settings.keys) and all(ends)

    def expected_requests(self, account: str) -> int:
        """How many requests the job of an account takes when nothing disturbs it."""
        return FIRST + READINGS * math.ceil(self.settings.leads[account] / PAGE)

    def slowest_budget(self) -> float:
        """How long the account with the most requests takes by its budget alone (s)."""
        most = max(map(self.expected_requests, self.settings.leads))
        return (math.ceil(most / 60) - 1) * (self.settings.minute + GUARD)


def make_fleet(folder: Path, accounts: int, leads: Sequence[int], minute: float) -> Fleet:
    """A fleet whose first account has a revoked key and whose second one is suspended."""
    names = [f"account-{number:03}" for number in range(accounts)]
    settings = Settings(
        keys={name: f"crm_{secrets.token_hex(20)}" for name in names},
        leads={name: leads[number % len(leads)] for number, name in enumerate(names)},
        revoked=frozenset(names[:1]),
        suspended=frozenset(names[1:2]),
        minute=minute,
    )
    fleet = Fleet(folder, settings, frozenset(names[:2]))
    fleet.accounts.write_text(
        "\n".join(
            f'[accounts.{name}]\nkey_env = "{_variable(name)}"\noptions = {{ page_size = {PAGE} }}'
            for name in names
        )
    )
    return fleet


def _variable(account: str) -> str:
    return f"KEY_OF_{account.upper().replace('-', '_')}"


@dataclass(slots=True)
class Workers:
    """The worker processes, each the leader of its group, and when which of them was killed."""

    command: Sequence[str]
    environment: Mapping[str, str]
    logs: Path
    server: FleetServer
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    killed: dict[int, float] = field(default_factory=dict)
    cpu: float = 0.0

    def start(self) -> None:
        """Start one more."""
        log = self.logs / f"worker-{len(self.killed) + len(self.processes)}.log"
        with log.open("wb") as file:
            self.processes.append(
                subprocess.Popen(  # noqa: S603 - this Python
                    [sys.executable, *self.command],
                    cwd=ROOT,
                    env=dict(self.environment),
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                )
            )
        self.server.watch(self.processes[-1].pid)

    def kill_one_of(self, busy: set[int]) -> bool:
        """Kill a worker that has just sent, and start another; False when none has."""
        for process in self.processes:
            if process.pid in busy:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                self.killed[process.pid] = time.monotonic()
                self.processes.remove(process)
                self.start()
                return True
        return False

    def measure(self) -> None:
        """Add up the CPU time of the workers (s), as long as they live."""
        ticks = os.sysconf("SC_CLK_TCK")
        self.cpu = 0.0
        groups = {process.pid for process in self.processes}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            if int(fields[2]) in groups:
                self.cpu += (int(fields[11]) + int(fields[12])) / ticks

    def end(self) -> None:
        """End them: in order, or else at once."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20.0)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def workers(
    command: Sequence[str],
    environment: Mapping[str, str],
    logs: Path,
    server: FleetServer,
    count: int,
) -> Iterator[Workers]:
    """So many workers, until the block ends."""
    found = Workers(command, environment, logs, server)
    try:
        for _ in range(count):
            found.start()
        yield found
    finally:
        found.end()


@dataclass(slots=True)
class Found:
    """What a run has shown."""

    fleet: Fleet
    receipts: dict[str, dict[str, Any]]
    log: list[Asked]
    emails: dict[str, dict[int, str | None]]
    killed: dict[int, float]
    makespan: float
    cpu: float
    leaks: list[str]
    processes: int = 2

    def complaints(self) -> list[str]:
        """What does not hold; empty when everything does."""
        return [
            *self._refused(),
            *self._incomplete(),
            *(f"429 for {each.account}" for each in self.log if each.status == 429),
            *self._two_at_once(),
            *(f"a key is in {place}" for place in self.leaks),
        ]

    def _refused(self) -> Iterator[str]:
        for account in self.fleet.refused:
            receipt = self.receipts[account]
            asked = sum(each.account == account for each in self.log)
            if receipt["outcome"] != "failed" or asked > 1 + len(self.killed):
                yield f"{account}: {receipt['outcome']} after {asked} requests"

    def _incomplete(self) -> Iterator[str]:
        for account in self.fleet.settings.keys.keys() - self.fleet.refused:
            if self.receipts[account]["outcome"] != "done":
                yield f"{account}: {self.receipts[account]}"
                continue
            with closing(sqlite3.connect(self.fleet.data / account / "leads.db")) as db:
                rows = db.execute("SELECT id, email FROM leads ORDER BY id").fetchall()
            if rows != sorted(self.emails[account].items()):
                yield f"{account}: {len(rows)} rows of {len(self.emails[account])} leads"
            asked = sum(each.account == account for each in self.log)
            expected = self.fleet.expected_requests(account)
            if asked < expected or (not self.killed and asked > expected):
                yield f"{account}: {asked} requests, not {expected}"

    def _two_at_once(self) -> Iterator[str]:
        """A worker may follow another one on an account only when that one is dead."""
        last: dict[str, int] = {}
        for each in sorted(self.log):
            # What a worker sent before it was killed may come late, also when it is unknown whose
            # it was.
            if each.group is None or self.killed.get(each.group, math.inf) <= each.at:
                continue
            before = last.get(each.account, each.group)
            if before != each.group and self.killed.get(before, math.inf) > each.at:
                yield f"{each.account}: {each.group} began while {before} was alive"
            last[each.account] = each.group

    @property
    def bound(self) -> float:
        """The larger of the slowest account's budget and the workers' CPU on these cores (s)."""
        cores = min(self.processes, os.cpu_count() or 1)
        return max(self.fleet.slowest_budget(), self.cpu / cores)


def run_engine(
    fleet: Fleet,
    engine: str,
    *,
    count: int,
    kills: int,
    reclaim: float,
    patience: float,
    gap: float = 0.5,
    at_once: int = 25,
    tell: Callable[[str], object] = lambda _: None,
) -> Found:
    """Run the sync of a fleet on workers of an engine, and kill workers that are at work.

    Each worker works on `at_once` accounts at once.
    """
    logs = fleet.folder / "logs"
    logs.mkdir()
    with running("redis-server") as redis, fleet_server(fleet.settings) as server:
        environment = fleet.environment(server.url, redis.url.removesuffix("/0"), reclaim)
        with workers(command_of(engine, at_once), environment, logs, server, count) as crew:
            wait_for(lambda: len(_connected(redis)) >= count, 60.0)
            command = [sys.executable, "-m", f"examples.fleet_{engine}", "sync"]
            with (logs / "send.log").open("wb") as file:
                subprocess.run(  # noqa: S603 - this Python
                    command, cwd=ROOT, env=environment, check=True, stdout=file, stderr=file
                )
            _kill(crew, server, kills, gap=gap, patience=patience, tell=tell)
            wait_for(fleet.is_over, patience)
            # From the first request: to load the libraries is no part of it.
            makespan = time.monotonic() - min(each.at for each in server.log())
            crew.measure()
        return Found(
            fleet,
            fleet.receipts(),
            server.log(),
            server.emails(),
            crew.killed,
            makespan,
            crew.cpu,
            leaks(fleet, redis, logs),
        )


def run_command(fleet: Fleet, patience: float) -> tuple[Found, int, int]:
    """Run `syncro fleet run`; returns also the exit code and the most memory (MB)."""
    logs = fleet.folder / "logs"
    logs.mkdir()
    with running("redis-server") as redis, fleet_server(fleet.settings) as server:
        environment = fleet.environment(server.url, redis.url.removesuffix("/0"), 60.0)
        # The budgets and leases are in files of this machine, as they are by default.
        del environment["SYNCRO_LIMITER"]
        environment["XDG_STATE_HOME"] = str(fleet.folder / "state")
        words = ["fleet", "run", str(fleet.accounts), "--job", "sync", "--folder", str(fleet.data)]
        command = ["-c", "import sys; from syncro_async.cli import main; sys.exit(main())", *words]
        with (logs / "out.log").open("wb") as out, (logs / "err.log").open("wb") as err:
            process = subprocess.Popen(  # noqa: S603 - this Python
                [sys.executable, *command], env=environment, cwd=ROOT, stdout=out, stderr=err
            )
            code, usage = _end_of(process, patience)
        log = server.log()
        found = Found(
            fleet,
            fleet.receipts(),
            log,
            server.emails(),
            {},
            time.monotonic() - min(each.at for each in log),
            usage.ru_utime + usage.ru_stime,
            leaks(fleet, redis, logs),
            processes=1,
        )
        return found, code, usage.ru_maxrss // 1024


def _end_of(
    process: subprocess.Popen[bytes], patience: float
) -> tuple[int, resource.struct_rusage]:
    """The exit code of the process, and what it has used."""
    end = time.monotonic() + patience
    ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    while not ended:
        if time.monotonic() > end:
            process.kill()
        time.sleep(0.1)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def run_import(
    folder: Path, *, rows: int, minute: float, patience: float
) -> tuple[list[Asked], list[str | None], list[str]]:
    """Import in three parts at once, by three workers with one key.

    Returns the requests, the emails at the server, and what does not hold.
    """
    parts = [f"part-{number}" for number in (1, 2, 3)]
    key = f"crm_{secrets.token_hex(20)}"
    settings = Settings({"one": key}, {"one": 0}, minute=minute)
    fleet = Fleet(folder, settings, frozenset())
    options = '{ rows = "rows.csv", definitions = [] }'
    fleet.accounts.write_text(
        "\n".join(
            f'[accounts.{part}]\nkey_env = "KEY_OF_ONE"\noptions = {options}' for part in parts
        )
    )
    for number, part in enumerate(parts):
        (fleet.data / part).mkdir(parents=True)
        lines = [f"Lead {row},{part}-{row}@example.com,1,4" for row in range(number, rows)]
        text = "\n".join(["name,email,pipeline_id,stage_id", *lines])
        (fleet.data / part / "rows.csv").write_text(text)
    logs = folder / "logs"
    logs.mkdir()
    # One job for each worker, so that no worker takes two parts.
    command = command_of("taskiq", 1)
    with running("redis-server") as redis, fleet_server(settings) as server:
        environment = fleet.environment(server.url, redis.url.removesuffix("/0"), 60.0)
        with workers(command, environment, logs, server, 3):
            wait_for(lambda: len(_connected(redis)) >= 3, 60.0)
            send = [sys.executable, "-m", "examples.fleet_taskiq", "import"]
            subprocess.run(send, cwd=ROOT, env=environment, check=True)  # noqa: S603
            wait_for(lambda: len(fleet.receipts()) == 3, patience)
        found = leaks(fleet, redis, logs)
        bad = [str(each) for each in fleet.receipts().values() if each["outcome"] != "done"]
        return server.log(), [*server.emails()["one"].values()], [*found, *bad]


def _connected(redis: RedisServer) -> list[Any]:
    """The clients that wait for messages."""
    with redis.client() as client:
        listed: Any = client.client_list()
    return [each for each in listed if each["cmd"] in {"xreadgroup", "brpop"}]


def _kill(
    crew: Workers,
    server: FleetServer,
    kills: int,
    *,
    gap: float,
    patience: float,
    tell: Callable[[str], object],
) -> None:
    for number in range(kills):
        wait_for(lambda: crew.kill_one_of(server.busy()), patience)
        tell(f"killed worker {number + 1} of {kills}")
        time.sleep(gap)


def wait_for(holds: Callable[[], bool], patience: float) -> None:
    """Wait until it holds. Raises `TimeoutError` after so many seconds."""
    end = time.monotonic() + patience
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"it took longer than {patience} s")
        time.sleep(0.1)


def leaks(fleet: Fleet, redis: RedisServer, logs: Path) -> list[str]:
    """Where a key, or the larger part of one, is: in Redis, in a file of the jobs, in a log."""
    parts = [key.removeprefix("crm_")[:16].encode() for key in fleet.settings.keys.values()]
    places: dict[str, bytes] = {}
    for database in (0, 1):
        with redis.client() as opened:
            client: Any = opened
            client.execute_command("SELECT", database)
            for name in client.scan_iter(count=1000):
                # The dump is compressed where that is shorter, so the values are read too.
                places[f"Redis {database} {name!r}"] = name + _value(client, name)
    for folder in (fleet.data, logs):
        for file in folder.rglob("*"):
            if file.is_file():
                places[str(file)] = file.read_bytes()
    return [place for place, content in places.items() if any(part in content for part in parts)]


def _value(client: Any, name: bytes) -> bytes:
    read: dict[bytes, Callable[[], object]] = {
        b"string": lambda: client.get(name),
        b"list": lambda: client.lrange(name, 0, -1),
        b"hash": lambda: client.hgetall(name),
        b"set": lambda: client.smembers(name),
        b"zset": lambda: client.zrange(name, 0, -1, withscores=True),
        b"stream": lambda: client.xrange(name),
        b"none": lambda: b"",  # it has expired meanwhile
    }
    return repr(read[client.type(name)]()).encode()


# Most accounts are small, and one in twenty needs three windows.
_USUAL = [60, 80, 100, 120] * 5
_USUAL[-1] = 325
# All of them are under way when a worker is killed.
_LONG = [80, 85, 90, 95]


def _report(name: str, found: Found) -> list[str]:
    done = sum(each["outcome"] == "done" for each in found.receipts.values())
    failed = [each for each in found.receipts.values() if each["outcome"] == "failed"]
    refused = sum(each.status == 429 for each in found.log)
    print(
        f"{name}: {done} done, {len(failed)} failed, {len(found.log):,} requests, {refused} 429s,"
        f" {len(found.killed)} kills, makespan {found.makespan:.1f} s, slowest budget"
        f" {found.fleet.slowest_budget():.1f} s, workers' CPU {found.cpu:.1f} s, makespan / bound"
        f" {found.makespan / found.bound:.2f}"
    )
    for each in failed:
        print(f"  {each['account']}: {each['reason']}")
    return found.complaints()


def main(words: list[str] | None = None) -> int:
    """Run the named scenarios, or all; returns 1 when something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what", nargs="*", default=["taskiq", "kills", "celery", "command", "import"]
    )
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--minute", type=float, default=60.0)
    given = parser.parse_args(words)
    complaints: list[str] = []
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {os.getloadavg()[0]:.1f} load")
    for what in given.what:
        with tempfile.TemporaryDirectory() as name:
            complaints += _scenario(what, Path(name), given)
    for each in complaints:
        print(f"DOES NOT HOLD: {each}")
    return bool(complaints)


def _scenario(what: str, folder: Path, given: argparse.Namespace) -> list[str]:
    accounts, kills, minute = given.accounts, given.kills, given.minute
    if what == "import":
        log, emails, found = run_import(folder, rows=60, minute=minute / 3, patience=600)
        groups = {each.group for each in log}
        refused = sum(each.status == 429 for each in log)
        print(
            f"import in three parts: {len(emails)} leads, {len(set(emails))} different,"
            f" {len(groups)} workers, {len(log)} requests, {refused} 429s"
        )
        twice = [] if len(emails) == len(set(emails)) == 177 else [f"{len(emails)} leads"]
        return [*twice, *(["429"] if refused else []), *found]
    if what == "command":
        fleet = make_fleet(folder, accounts, _USUAL, minute)
        one, code, memory = run_command(fleet, 600)
        print(f"the command ended with {code}, and took {memory} MB at most")
        return _report("syncro fleet run", one)
    if what == "taskiq":
        fleet = make_fleet(folder, accounts, _USUAL, minute)
        # All accounts at once: the largest must not wait for a place.
        undisturbed = run_engine(
            fleet,
            what,
            count=3,
            kills=0,
            reclaim=60.0,
            patience=900,
            at_once=math.ceil(accounts / 3),
        )
        return _report("three taskiq workers", undisturbed)
    engine = "taskiq" if what == "kills" else "celery"
    count, kills = (3, kills) if what == "kills" else (2, 2)
    fleet = make_fleet(folder, accounts if what == "kills" else 30, _LONG, minute / 3)
    killed = run_engine(
        fleet, engine, count=count, kills=kills, reclaim=10.0, patience=900, gap=4.0, tell=print
    )
    return _report(f"{count} {engine} workers, killed", killed)


if __name__ == "__main__":
    sys.exit(main())
