"""What a queue carries: jobs and receipts as plain data, and names that are safe in a path."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from syncro_async.errors import InvalidArgumentError
from syncro_async.fleet import AccountJob, JobReceipt
from syncro_async.fleet.jobs import backoff, digest_of

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
DAY = date(2026, 6, 30)


def receipt(**facts: Any) -> JobReceipt:
    given: dict[str, Any] = {"outcome": "done", "ended_at": NOW, **facts}
    return JobReceipt("acme", "sync", {"full": True}, DAY, 1, **given)


@pytest.mark.parametrize("name", ["a", "acme", "Acme-2", "0", "a.b_c-d", "x" * 64])
def test_a_name_that_can_be_a_folder_is_an_account(name: str) -> None:
    assert AccountJob(name).account == name


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x", "a/b", "a\\b", "/etc", "~", "-a", ".a", "_a", "a.", "a b", "a\n"),
        *("a:b", "x" * 65, "con", "NUL", "aux.txt", "com1", "LPT9.x", "ação", "a\x00", None, 7),
    ],
)
def test_any_other_name_is_refused(name: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot be the name of an account"):
        AccountJob(name)


@pytest.mark.parametrize("job", [{"kind": "delete"}, {"options": [1]}])
def test_a_job_that_cannot_be_is_refused(job: dict[str, Any]) -> None:
    (argument,) = job
    with pytest.raises(InvalidArgumentError, match=argument) as caught:
        AccountJob("acme", **job)
    assert caught.value.argument == argument


def test_a_job_goes_through_json() -> None:
    job = AccountJob("acme", "export", {"tags": ["vip"]}, DAY, 2)
    assert AccountJob.from_message(json.loads(json.dumps(job.to_message()))) == job


@pytest.mark.parametrize("message", [{}, {"account": "../x"}, {"account": "a", "attempt": "two"}])
def test_any_other_message_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="no message of an account's job"):
        AccountJob.from_message(message)


def test_all_attempts_of_a_job_have_one_name_in_the_queue() -> None:
    assert AccountJob("acme", "sync", {}, DAY, 3).task_id() == "acme:sync:2026-06-30"
    assert AccountJob("acme").task_id() == "acme:sync"


def test_a_receipt_at_its_end_has_no_next_job() -> None:
    assert receipt().next_job is None
    assert receipt().delay(NOW) == 0.0


def test_a_receipt_that_comes_back_says_what_and_when() -> None:
    later = receipt(outcome="later", come_back_at=NOW + timedelta(seconds=30), next_attempt=2)
    assert later.next_job == AccountJob("acme", "sync", {"full": True}, DAY, 2)
    assert later.delay(NOW) == 30.0
    assert later.delay(NOW + timedelta(seconds=31)) == 0.0
    assert json.loads(json.dumps(later.to_message()))["come_back_at"] == "2026-06-30T12:00:30Z"


def test_jobs_are_alike_by_what_they_do() -> None:
    job = AccountJob("acme", "sync", {"a": 1, "b": 2}, DAY)
    same = AccountJob("acme", "sync", {"b": 2, "a": 1}, date(2026, 7, 1), 4)
    assert digest_of(job) == digest_of(same)
    others = [
        digest_of(AccountJob("acme", "export", job.options)),
        digest_of(AccountJob("acme", "sync", {"a": 2, "b": 2})),
        digest_of(job, "the rows of another file"),
    ]
    assert len({digest_of(job), *others}) == 4


def test_the_waits_between_attempts_grow_up_to_a_quarter_of_an_hour() -> None:
    assert [backoff(attempt) for attempt in (1, 2, 3, 7, 8, 10_000)] == [10, 20, 40, 640, 900, 900]
