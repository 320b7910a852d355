"""The job of one account as a queue carries it, and the receipt that its run returns."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal, Self, get_args

import msgspec

from syncro_async._internal.known_keys import mask_keys
from syncro_async.errors import InvalidArgumentError
from syncro_async.models import base
from syncro_async.models.receipts import shown

Kind = Literal["export", "sync", "import"]
"""What a job does with the leads of its account."""
Outcome = Literal["done", "failed", "later", "running"]
"""How a run ended; `JobReceipt` says what each means."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
# Windows opens a device for these names, whatever follows a dot.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


class AccountJob(msgspec.Struct, frozen=True):
    """One job for one account: plain data, without a key, that a queue can carry.

        job = AccountJob("acme", "sync", {"page_size": 100})
        assert AccountJob.from_message(job.to_message()) == job

    - `account`: the name of the account: up to 64 letters, digits, `.`, `_` and `-`, as it is a
      folder's name too
    - `kind`: `"export"`, `"sync"` or `"import"`
    - `options`: arguments of `bulk.export_leads`, `sync_leads` or `upsert_leads`, as JSON has them
      (times as ISO 8601). For an import `rows` names the file; a relative path starts in the folder
      of the account
    - `day`: the UTC day that the job is for (None: the day on which it runs). A job of a day that
      is done is not done again
    - `attempt`: the number of this attempt, from 1

    Raises `InvalidArgumentError` for a name that cannot be an account's and for an unknown kind.
    """

    account: str
    kind: Kind = "sync"
    options: dict[str, Any] = {}
    day: date | None = None
    attempt: int = 1

    def __post_init__(self) -> None:
        check_account(self.account)
        if self.kind not in get_args(Kind):
            raise InvalidArgumentError(
                f"kind={shown(self.kind)} must be one of {', '.join(get_args(Kind))}",
                argument="kind",
            )
        if not isinstance(self.options, dict):
            raise InvalidArgumentError(
                f"options={shown(self.options)} must be a dict of arguments of the job",
                argument="options",
            )

    def task_id(self) -> str:
        """A name for the job in a queue, the same for all of its attempts: `acme:sync:2026-06-30`.

        A job without a day has the same name on each day.
        """
        parts = (self.account, self.kind, "" if self.day is None else self.day.isoformat())
        return ":".join(filter(None, parts))

    def to_message(self) -> dict[str, Any]:
        """The job as JSON has it, for a queue."""
        message: dict[str, Any] = msgspec.to_builtins(self)
        return message

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Self:
        """The job that `to_message` made this of. Raises `InvalidArgumentError` for anything else.

        - `message`: what `to_message` returned, maybe in another process
        """
        try:
            return msgspec.convert(message, cls)
        except msgspec.ValidationError as error:
            raise InvalidArgumentError(
                f"this is no message of an account's job: {error}", argument="message"
            ) from None


class JobReceipt(base.Model, frozen=True):
    """What became of a job: the result that is kept, without a key.

    - `account`, `kind`, `options`, `day`, `attempt`: those of the job
    - `outcome`: `"done"`; `"failed"`, for good; `"later"`, which comes back at `come_back_at`; or
      `"running"`: another run of the same job is at work, and this one did nothing
    - `reason`: why the outcome is not `"done"`, as a sentence
    - `come_back_at`: when the job should be run again; None when it has come to its end
    - `next_attempt`: the number of that attempt
    - `skipped`: the job was done before for this day, and this run did nothing
    - `requests`, `seconds`: the requests and the duration of this run
    - `ended_at`: when the run ended
    - `file`: the path of the database or of the file, as far as the job has one
    - `result`: what the export, sync or import returned, None where it did not end
    """

    account: str
    kind: Kind
    options: dict[str, Any]
    day: date
    attempt: int
    outcome: Outcome
    ended_at: datetime
    reason: str | None = None
    come_back_at: datetime | None = None
    next_attempt: int = 1
    skipped: bool = False
    requests: int = 0
    seconds: float = 0.0
    file: str | None = None
    result: dict[str, Any] | None = None

    @property
    def next_job(self) -> AccountJob | None:
        """The job to put into the queue for `come_back_at`; None when this one is at its end."""
        if self.come_back_at is None:
            return None
        return AccountJob(self.account, self.kind, self.options, self.day, self.next_attempt)

    def delay(self, now: datetime) -> float:
        """How many seconds from `now` the job is to come back; 0.0 when it need not.

        - `now`: the present time, with its time zone
        """
        if self.come_back_at is None:
            return 0.0
        return max(0.0, (self.come_back_at - now).total_seconds())

    def to_message(self) -> dict[str, Any]:
        """The receipt as JSON has it, for the result store of a queue."""
        message: dict[str, Any] = msgspec.to_builtins(self)
        return message


def check_account(name: object) -> str:
    """Return the name. Raises `InvalidArgumentError` for one that cannot be an account's.

    It becomes the name of a folder, so it has no separators and is not `..` or a device.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or _DEVICE.fullmatch(name):
        raise InvalidArgumentError(
            f"account={shown(name)} cannot be the name of an account: it has 1 to 64 letters,"
            " digits, '.', '_' or '-', begins with a letter or a digit, does not end with '.', and"
            " is not a device of Windows such as 'con'",
            argument="account",
        )
    if mask_keys(name) != name:
        raise InvalidArgumentError(
            "account looks like an API key, so it is not shown: give the name of the account",
            argument="account",
        )
    return name


def digest_of(job: AccountJob, content: str = "") -> str:
    """What is equal for jobs that do the same.

    `content` is the hash of the rows of an import, so that a changed file is another job.
    """
    facts = msgspec.json.encode((job.kind, job.options, content), order="sorted")
    return hashlib.sha256(facts).hexdigest()[:16]


def backoff(attempt: int) -> float:
    """How long to wait after this failed attempt (s): 10, 20, 40 … and at most 15 minutes."""
    return min(10.0 * math.pow(2.0, min(attempt - 1, 10)), 900.0)
