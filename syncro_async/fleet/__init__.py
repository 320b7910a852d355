"""Jobs for many accounts: in one process, or on the workers of a task queue.

The queue brings queueing, workers and redelivery. This package brings what it lacks: budgets that
are exact across workers, jobs that go on where they stopped, and no account run twice at once.
docs/fleet.md has the rest.
"""

from syncro_async.fleet.accounts import Account, Accounts
from syncro_async.fleet.jobs import AccountJob, JobReceipt, Kind, Outcome
from syncro_async.fleet.keys import EnvironmentKeys, FileKeys, KeySource
from syncro_async.fleet.run import run_account_job
from syncro_async.fleet.runner import run_fleet

__all__ = [
    "Account",
    "AccountJob",
    "Accounts",
    "EnvironmentKeys",
    "FileKeys",
    "JobReceipt",
    "KeySource",
    "Kind",
    "Outcome",
    "run_account_job",
    "run_fleet",
]
