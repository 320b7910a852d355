"""What a journal is bound to: an account, rows and options; and how a stopped import goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syncro_async import (
    AuthenticationError,
    ConfigurationError,
    ImportStoppedError,
    ImportSummary,
)
from syncro_async.sandbox import (
    EXPIRED_KEY,
    FULL_KEY,
    LEADS_ONLY_KEY,
    READ_ONLY_KEY,
    Sandbox,
    Trouble,
)
from syncro_async.testing import FakeClock, sandbox_client

HOME = {"pipeline_id": 1, "stage_id": 4}


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"name": f"Lead {number}", "email": f"{number}@example.com", **HOME, **more}
        for number in range(count)
    ]


def counted(summary: ImportSummary) -> tuple[int, ...]:
    """Created, failed, unsent."""
    return summary.created, summary.failed, summary.unsent


class Runs:
    """Imports the same rows with one journal, with any key and account."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.journal = folder / "rows.journal"

    async def run(
        self,
        key: str = FULL_KEY,
        *,
        sent: list[dict[str, Any]] | None = None,
        trouble: Trouble | None = None,
        **options: Any,
    ) -> tuple[ImportSummary, Sandbox]:
        sandbox = Sandbox(0, clock=self.clock)
        if trouble is not None:
            sandbox.script(trouble)
        async with sandbox_client(sandbox=sandbox, clock=self.clock, api_key=key) as syncro:
            given = rows(3) if sent is None else sent
            summary = await syncro.bulk.create_leads(given, journal=self.journal, **options)
        return summary, sandbox


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


REFUSED = Trouble(status=422, body={"message": "not today"}, method="POST")
ANOTHER = Trouble(path="/account", body={"success": True, "account": {"id": 2}})
NO_ACCOUNT = Trouble(path="/account", body=b"<html>")


async def test_a_journal_of_another_account_is_refused(runs: Runs) -> None:
    await runs.run(trouble=REFUSED)
    with pytest.raises(
        ConfigurationError, match=r"the account 1, and this .* the account 2\. Go on"
    ):
        # The other key is read as the key of another account.
        await runs.run(READ_ONLY_KEY, trouble=ANOTHER)


async def test_another_key_of_the_account_goes_on(runs: Runs) -> None:
    summary, _ = await runs.run(trouble=REFUSED)
    assert counted(summary) == (2, 1, 0)
    with pytest.raises(ImportStoppedError, match="403"):  # of the same account, it may only read
        await runs.run(READ_ONLY_KEY)


async def test_a_key_that_may_not_read_its_account_is_told_by_its_hash(runs: Runs) -> None:
    summary, _ = await runs.run(LEADS_ONLY_KEY, trouble=REFUSED)
    assert counted(summary) == (2, 1, 0)
    with pytest.raises(ConfigurationError, match=r"another API key.*users:read"):
        await runs.run(FULL_KEY)
    summary, sandbox = await runs.run(LEADS_ONLY_KEY)
    assert counted(summary) == (3, 0, 0)
    assert [arrival.method for arrival in sandbox.arrivals] == ["POST"]


async def test_a_server_that_shows_no_account_is_told_by_the_keys_hash(runs: Runs) -> None:
    summary, _ = await runs.run(trouble=NO_ACCOUNT)
    assert counted(summary) == (3, 0, 0)
    assert (await runs.run())[0].requests == 0


async def test_a_key_that_is_refused_stops_the_job_before_the_account_is_known(runs: Runs) -> None:
    with pytest.raises(ImportStoppedError) as caught:
        await runs.run(EXPIRED_KEY)
    assert isinstance(caught.value.__cause__, AuthenticationError)
    assert counted(caught.value.summary) == (0, 0, 3)
    assert counted((await runs.run())[0]) == (3, 0, 0)


async def test_a_run_goes_on_behind_the_canary_and_the_failure_limit(runs: Runs) -> None:
    sent = [*rows(30, stage_id=99), *rows(60)[30:]]
    with pytest.raises(ImportStoppedError, match="the first 5 rows all failed") as stopped:
        await runs.run(sent=sent, canary=5)
    assert counted(stopped.value.summary) == (0, 5, 55)
    with pytest.raises(ImportStoppedError, match="too many rows failed") as stopped:
        await runs.run(sent=sent, max_failures=19)
    _, failed, unsent = counted(stopped.value.summary)
    assert 25 <= failed <= 30
    assert unsent == 60 - failed - stopped.value.summary.created
    summary, _ = await runs.run(sent=sent, max_failures=100)
    assert counted(summary) == (30, 30, 0)


async def test_rows_that_failed_are_tried_again_after_all_others(runs: Runs) -> None:
    with pytest.raises(ImportStoppedError):
        await runs.run(sent=rows(30), canary=4, trouble=Trouble(status=422, method="POST", times=4))
    summary, sandbox = await runs.run(sent=rows(30))
    assert counted(summary) == (30, 0, 0)
    names = [lead["name"] for lead in sandbox.leads.values()]
    assert set(names[-4:]) == {"Lead 0", "Lead 1", "Lead 2", "Lead 3"}


@pytest.mark.parametrize("name", ["server_time_limit", "max_outage"])
@pytest.mark.parametrize("value", [-1, float("inf"), "1", True])
async def test_times_that_cannot_be_are_refused(runs: Runs, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a number of seconds, 0 or more, not"):
        await runs.run(**{name: value})
