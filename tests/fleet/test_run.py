"""One run of a job against a server: its receipt in every case, its lease, and its files."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncro_async import Progress, RateLimit, RetryPolicy, SystemClock
from syncro_async.errors import ConfigurationError
from syncro_async.fleet import AccountJob, Accounts, JobReceipt, run_account_job
from syncro_async.fleet.folder import AccountFolder
from syncro_async.limiting.job_leases import job_store
from syncro_async.limiting.shared.job_lease import JobClaim
from syncro_async.sandbox import (
    EXPIRED_KEY,
    FULL_KEY,
    LEADS_ONLY_KEY,
    SUSPENDED_KEY,
    Sandbox,
    Trouble,
    serving,
)
from syncro_async.testing import FakeClock

Run = Callable[..., Any]
NO_RETRY = RetryPolicy(attempts=1)


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(leads=25)


@pytest.fixture
def keys() -> dict[str, Any]:
    return {"acme": FULL_KEY}


@pytest.fixture
def run(sandbox: Sandbox, keys: dict[str, Any], tmp_path: Path) -> Iterator[Run]:
    with serving(sandbox) as url:

        async def run(job: AccountJob | str = "acme", **arguments: Any) -> JobReceipt:
            given = AccountJob(job) if isinstance(job, str) else job
            options: dict[str, Any] = {"keys": keys.__getitem__, "base_url": url}
            options |= {"folder": tmp_path, "limiter": f"sqlite://{tmp_path}/budget.db"}
            options |= {"rate_limit": RateLimit(10_000, 60.0)}
            return await run_account_job(given, **{**options, **arguments})

        yield run


class HeldTransport(httpx.AsyncBaseTransport):
    """Holds the requests for leads back, until it is told to let them go."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = httpx.ASGITransport(sandbox.app)
        self.asked = asyncio.Event()
        self.let_go = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/leads"):
            self.asked.set()
            await self.let_go.wait()
        return await self._inner.handle_async_request(request)


@pytest.fixture
def held(sandbox: Sandbox) -> HeldTransport:
    return HeldTransport(sandbox)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "acme"


def rows(file: Path) -> int:
    with closing(sqlite3.connect(file)) as db:
        return int(db.execute("SELECT count(*) FROM leads").fetchone()[0])


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def write_rows(folder: Path, *lines: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "new.csv").write_text("\n".join(["name,email,pipeline_id,stage_id", *lines]))


class TestKinds:
    async def test_a_sync_fills_the_database_of_the_account(self, run: Run, folder: Path) -> None:
        receipt = await run()
        assert (receipt.outcome, receipt.requests, receipt.next_job) == ("done", 2, None)
        assert receipt.file == str(folder / "leads.db")
        assert rows(folder / "leads.db") == receipt.result["fetched"] == 25
        written = json.loads((folder / "receipt.json").read_text())
        assert written == receipt.to_message()

    async def test_an_export_writes_the_file_of_its_format(self, run: Run, folder: Path) -> None:
        job = AccountJob("acme", "export", {"format": "csv", "created_from": "2000-01-01"})
        receipt = await run(job)
        assert receipt.outcome == "done", receipt.reason
        assert receipt.result["written"] == 25
        assert "leads.csv" in names(folder)
        plain = await run(AccountJob("acme", "export", {"created_to": "2000-01-01T00:00:00Z"}))
        assert (plain.result["written"], plain.file) == (0, str(folder / "leads.jsonl"))

    async def test_an_import_sends_the_rows_of_its_file(
        self, run: Run, folder: Path, sandbox: Sandbox
    ) -> None:
        write_rows(folder, "Ana,ana@example.com,1,4")
        job = AccountJob("acme", "import", {"rows": "new.csv"})
        assert (await run(job)).result["created"] == 1
        assert (await run(job)).skipped
        # Other rows are another job. The same rows again change nothing.
        write_rows(folder, "Bia,bia@example.com,1,4", ",x,1,4")
        failed = await run(job)
        assert failed.outcome == "failed"
        assert "email" in failed.reason
        assert "new.failed.csv" in names(folder)
        write_rows(folder, "Ana,ana@example.com,1,4")
        assert (await run(job, force=True)).result["unchanged"] == 1
        assert len(sandbox.leads) == 26

    @pytest.mark.parametrize(
        ("job", "message"),
        [
            (AccountJob("acme", "sync", {"resume": False}), "'resume' are none of the job 'sync'"),
            (AccountJob("acme", "export", {"format": "pdf"}), "format='pdf' must be jsonl"),
            (AccountJob("acme", "export", {"created_to": "soon"}), "created_to='soon' must be a"),
            (AccountJob("acme", "import"), "needs the option 'rows'"),
            (AccountJob("acme", "import", {"rows": 7}), "unsupported operand|rows"),
            (AccountJob("acme", "import", {"rows": "gone.csv"}), "gone.csv: No such file"),
        ],
        ids=lambda value: str(value) if isinstance(value, str) else "",
    )
    async def test_options_that_cannot_be_fail_the_job(
        self, run: Run, sandbox: Sandbox, job: AccountJob, message: str
    ) -> None:
        receipt = await run(job)
        assert receipt.outcome == "failed"
        assert any(part in receipt.reason for part in message.split("|"))
        assert sandbox.arrivals == []


class TestOncePerDay:
    async def test_what_is_done_is_not_done_again(self, run: Run, sandbox: Sandbox) -> None:
        first = await run()
        asked = len(sandbox.arrivals)
        again = await run()
        assert again.skipped
        assert again.result == first.result
        assert len(sandbox.arrivals) == asked

    async def test_but_for_another_day_or_with_other_options_or_by_force(self, run: Run) -> None:
        day = date(2026, 6, 30)
        await run(AccountJob("acme", day=day))
        others = [
            await run(AccountJob("acme", day=date(2026, 7, 1))),
            await run(AccountJob("acme", "sync", {"page_size": 50}, day)),
            await run(AccountJob("acme", day=day), force=True),
        ]
        assert [(each.outcome, each.skipped) for each in others] == [("done", False)] * 3


class TestRefused:
    @pytest.mark.parametrize(
        ("key", "reason"),
        [
            ("crm_revoked", "401: API Key inválida"),
            (EXPIRED_KEY, "401: API Key expirada"),
            (SUSPENDED_KEY, "403: Conta inativa"),
        ],
    )
    async def test_a_refused_key_fails_the_job_at_once(
        self, run: Run, sandbox: Sandbox, keys: dict[str, Any], key: str, reason: str
    ) -> None:
        keys["acme"] = key
        receipt = await run()
        assert (receipt.outcome, receipt.come_back_at) == ("failed", None)
        assert reason in receipt.reason
        assert len(sandbox.arrivals) == 1

    async def test_a_key_source_that_fails_is_asked_again_later(self, run: Run) -> None:
        receipt = await run(keys={}.__getitem__)
        assert (receipt.outcome, receipt.next_attempt) == ("later", 2)
        assert "the key source raised KeyError" in receipt.reason

    async def test_an_account_that_is_not_listed(self, run: Run) -> None:
        accounts = Accounts.parse("[accounts.other]\nkey_env='X'")
        receipt = await run(keys=accounts)
        assert receipt.reason == "account 'acme' is not among the 1 accounts that are listed"


class TestComesBack:
    async def test_when_the_server_says_so(self, run: Run, sandbox: Sandbox) -> None:
        sandbox.script(Trouble(status=429, headers={"Retry-After": "3600"}))
        receipt = await run()
        assert (receipt.outcome, receipt.next_attempt) == ("later", 1)
        assert 3590 < receipt.delay(receipt.ended_at) < 3700

    async def test_after_a_fault_of_the_network_with_growing_waits(
        self, run: Run, sandbox: Sandbox
    ) -> None:
        sandbox.script(Trouble(status=500, times=3))
        waits = []
        job: AccountJob | None = AccountJob("acme")
        while job is not None:
            receipt = await run(job, retry=NO_RETRY, max_attempts=3)
            waits.append(receipt.delay(receipt.ended_at))
            job = receipt.next_job
        assert waits == [10.0, 20.0, 0.0]
        assert receipt.outcome == "failed"
        assert receipt.reason.endswith("(3 attempts)")

    async def test_when_the_budget_is_full_for_too_long(self, run: Run) -> None:
        rate = {"rate_limit": RateLimit(2, 60.0), "limiter": None}
        assert (await run(**rate)).outcome == "done"
        receipt = await run(AccountJob("acme", "export"), max_wait=10.0, **rate)
        assert (receipt.outcome, receipt.requests) == ("later", 0)
        assert 50 < receipt.delay(receipt.ended_at) <= 61
        assert "longer than max_wait=10" in receipt.reason

    async def test_at_once_when_its_time_is_over(self, run: Run, held: HeldTransport) -> None:
        receipt = await run(time_limit=0.2, transport=held)
        assert (receipt.outcome, receipt.next_attempt) == ("later", 1)
        assert receipt.delay(receipt.ended_at) == 0.0
        assert "goes on where this one stopped" in receipt.reason
        assert (await run(receipt.next_job)).outcome == "done"

    async def test_when_the_store_is_away(self, run: Run, tmp_path: Path) -> None:
        receipt = await run(limiter="redis://127.0.0.1:1/0", clock=FakeClock())
        assert (receipt.outcome, receipt.next_attempt) == ("later", 1)
        assert receipt.delay(receipt.ended_at) == 30.0

    async def test_a_list_that_does_not_come_to_rest_is_tried_again(
        self, run: Run, sandbox: Sandbox
    ) -> None:
        meta = {"current_page": 1, "last_page": 2, "per_page": 200, "total": 25}
        page = {"success": True, "data": [], "meta": meta}
        sandbox.script(Trouble(path="/leads", body=page, times=99))
        receipt = await run()
        assert (receipt.outcome, receipt.next_attempt) == ("later", 2)
        assert receipt.result["complete"] is False


class TestOneAtATime:
    async def test_a_second_run_in_the_same_folder_ends_at_once(
        self, run: Run, held: HeldTransport
    ) -> None:
        first = asyncio.create_task(run(transport=held))
        await held.asked.wait()
        second = await run()
        assert (second.outcome, second.requests) == ("running", 0)
        assert 0 < second.delay(second.ended_at) <= 30
        assert second.next_job is not None
        held.let_go.set()
        assert (await first).outcome == "done"
        assert (await run(second.next_job)).skipped

    async def test_a_run_of_another_machine_has_the_lease(
        self, run: Run, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        store = job_store(f"sqlite://{tmp_path}/budget.db", SystemClock())
        await store.claim_job(JobClaim("acme:sync", "other", "there", 20.0))
        receipt = await run()
        assert receipt.outcome == "running"
        assert 10 < receipt.delay(receipt.ended_at) <= 20
        assert sandbox.arrivals == []
        assert not (tmp_path / "acme" / "receipt.json").exists()
        await store.claim_job(JobClaim("acme:sync", "other", "there", 0.0))
        assert (await run()).outcome == "done"
        await store.aclose()

    async def test_a_run_that_was_killed_here_is_no_hindrance(
        self, run: Run, tmp_path: Path
    ) -> None:
        dead = AccountFolder(tmp_path, "acme", "sync")
        assert dead.lock()
        store = job_store(f"sqlite://{tmp_path}/budget.db", SystemClock())
        await store.claim_job(JobClaim("acme:sync", "dead", dead.place, 600.0))
        dead.close()
        assert (await run()).outcome == "done"
        await store.aclose()

    async def test_a_run_whose_lease_was_taken_sends_nothing_more(
        self, run: Run, sandbox: Sandbox, held: HeldTransport, tmp_path: Path, folder: Path
    ) -> None:
        slow = asyncio.create_task(run(lease_seconds=0.6, transport=held))
        await held.asked.wait()
        with closing(sqlite3.connect(tmp_path / "budget.db")) as db:
            db.execute("UPDATE jobs SET holder = 'another', expires_at = expires_at + 60")
            db.commit()
        receipt = await slow
        assert receipt.outcome == "later"
        assert "the lease of this run is over" in receipt.reason
        assert [each.path for each in sandbox.arrivals] == ["/account"]
        assert not folder.joinpath("leads.db").exists()

    async def test_a_cancelled_run_leaves_the_job_to_the_next(
        self, run: Run, held: HeldTransport
    ) -> None:
        task = asyncio.create_task(run(transport=held))
        await held.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await run()).outcome == "done"

    async def test_a_broken_folder_fails_one_account(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "acme").write_text("a file")
        receipt = await run()
        assert (receipt.outcome, receipt.reason) == ("failed", f"{tmp_path}/acme: File exists")


class TestKeys:
    async def test_a_new_key_of_the_same_account_goes_on(
        self, run: Run, keys: dict[str, Any], sandbox: Sandbox
    ) -> None:
        await run()
        keys["acme"] = LEADS_ONLY_KEY
        refused = await run(force=True)
        assert refused.outcome == "failed"
        assert "that cannot be read (scope users:read)" in refused.reason
        keys["acme"] = FULL_KEY
        assert (await run(force=True)).outcome == "done"

    async def test_a_key_of_another_account_is_refused(
        self, run: Run, tmp_path: Path, folder: Path
    ) -> None:
        await run()
        account = AccountFolder(tmp_path, "acme", "sync")
        assert account.lock()
        account.bind("another account", "the hash of another key")
        account.close()
        receipt = await run(force=True)
        assert receipt.outcome == "failed"
        assert "has the leads of the account another account" in receipt.reason

    async def test_a_key_that_may_not_read_its_account_can_be_used(
        self, run: Run, keys: dict[str, Any], tmp_path: Path
    ) -> None:
        keys["acme"] = LEADS_ONLY_KEY
        assert (await run()).outcome == "done"
        account = AccountFolder(tmp_path, "acme", "sync")
        assert account.lock()
        account.bind("", "the hash of another key")
        account.close()
        receipt = await run(force=True)
        assert "the account that could not be read" in receipt.reason

    async def test_a_rotated_key_is_asked_for_in_the_middle(
        self, run: Run, sandbox: Sandbox
    ) -> None:
        given = iter(["crm_old", "crm_old", FULL_KEY])
        assert (await run(keys=lambda _: next(given))).outcome == "done"

    async def test_the_address_and_the_limiter_of_an_account(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
    ) -> None:
        monkeypatch.setenv("ACME", FULL_KEY)
        settings = f"limiter='sqlite://{tmp_path}/own.db'\nbase_url='http://127.0.0.1:1/api'"
        accounts = Accounts.parse(f"[accounts.acme]\nkey_env='ACME'\n{settings}")
        receipt = await run(keys=accounts, retry=NO_RETRY)
        assert (receipt.outcome, receipt.next_attempt) == ("later", 2)
        assert (tmp_path / "own.db").exists()
        assert sandbox.arrivals == []


async def test_progress_is_reported(run: Run) -> None:
    heard: list[Progress] = []
    await run(on_progress=heard.append)
    assert heard
    assert heard[-1].done == heard[-1].total == 25


async def test_a_simulated_server_needs_no_budget_of_this_machine(
    held: HeldTransport, tmp_path: Path, state_folder: Path
) -> None:
    held.let_go.set()
    receipt = await run_account_job(
        AccountJob("acme"),
        keys=lambda _: FULL_KEY,
        folder=tmp_path,
        limiter="host",
        base_url="https://sandbox/api/v1",
        transport=held,
    )
    assert receipt.outcome == "done", receipt.reason
    assert state_folder.name not in names(state_folder.parent)


async def test_an_error_that_nobody_expects_fails_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCRO_LIMITER", "redis://nobody@")
    receipt = await run_account_job(AccountJob("a"), keys=lambda _: "crm_x", folder=tmp_path)
    assert receipt.outcome in {"failed", "later"}
    with pytest.raises(ConfigurationError):
        Accounts({})["a"].key()
