"""Runs cells in an IPython shell and prints, as JSON, what a user of them sees."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

# The last line of a cell is the one whose traceback is shown.
TRACEBACKS = {
    "NotFoundError": "await scripted(None, lambda s: s.leads.get(4711))",
    "AuthenticationError": "await scripted(Trouble(status=401), lambda s: s.leads.get(1))",
    "PermissionDeniedError": "await scripted(Trouble(status=403), lambda s: s.leads.get(1))",
    "RateLimitedError": (
        "await scripted(Trouble(status=429, headers={'Retry-After': '99'}),"
        " lambda s: s.leads.get(1), max_wait=5.0)"
    ),
    "ServerError": "await scripted(Trouble(status=500), lambda s: s.leads.get(1))",
    "ServiceUnavailableError": "await scripted(Trouble(status=503), lambda s: s.leads.get(1))",
    "UnexpectedResponseError": (
        "await scripted(Trouble(status=200, body=b'<html>'), lambda s: s.leads.get(1))"
    ),
    "OutcomeUnknownError": (
        "await scripted(Trouble(method='POST', lose_answer=True),"
        " lambda s: s.leads.create(name='A', pipeline_id=1, stage_id=4))"
    ),
    "NoAnswerError": "await scripted(Trouble(reset=True), lambda s: s.leads.get(1))",
    "ConnectionFailedError": (
        "await AsyncClient(KEY, base_url='http://127.0.0.1:9/', retry=ONCE).leads.get(1)"
    ),
    "BudgetWaitError": (
        "await scripted(None, lambda s: asyncio.gather(s.leads.get(1), s.leads.get(2)),"
        " rate_limit=RateLimit(1, 60.0), max_wait=1.0)"
    ),
    "ValidationError": (
        "await scripted(None, lambda s: s.leads.create(name='A', pipeline_id=99, stage_id=4))"
    ),
    "BadRowsError": "await scripted(None, lambda s: s.bulk.upsert_leads([{'bad': 1}]))",
    "ImportStoppedError": (
        "await scripted(Trouble(status=403, times=9), lambda s: s.bulk.upsert_leads(ROWS))"
    ),
    "ConfigurationError": "AsyncClient(KEY, max_wait=-1)",
}
_BEGIN = """
import asyncio
import httpx
from syncro_async import *
from syncro_async.sandbox import Sandbox, Trouble
from syncro_async.testing import FakeClock

KEY = "crm_" + "never_shown"
ONCE = RetryPolicy(attempts=1)
ROWS = [{"name": "Ana", "email": "ana@example.com"}]

async def scripted(trouble, call, **options):
    clock = FakeClock()
    sandbox = Sandbox(450, clock=clock)
    if trouble is not None:
        sandbox.script(trouble)
    transport = httpx.ASGITransport(sandbox.app)
    settings = {"base_url": "http://localhost/api/v1", "retry": ONCE, "clock": clock, **options}
    async with AsyncClient("crm_sandbox_full", transport=transport, **settings) as syncro:
        return await call(syncro)
"""
_EXPORT = """
import tempfile
progress = ProgressBar()
progress.note("waiting for a test")
with tempfile.TemporaryDirectory() as folder:
    await scripted(None, lambda s: s.bulk.export_leads(f"{folder}/a.jsonl", on_progress=progress))
progress.note("waiting for a test")
"""


class Stderr(io.StringIO):
    """What a notebook's kernel puts in the place of stderr."""


Stderr.__module__ = "ipykernel.iostream"


def main() -> None:
    from IPython.core.displaypub import CapturingDisplayPublisher  # noqa: PLC0415
    from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415

    make: Any = InteractiveShell.instance
    shell = make(colors="NoColor")
    make_publisher: Any = CapturingDisplayPublisher
    shell.display_pub = make_publisher()
    shell.run_cell(_BEGIN)
    tracebacks = {}
    for name, cell in TRACEBACKS.items():
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(io.StringIO()):
            shell.run_cell(cell)
        tracebacks[name] = out.getvalue()
    shell.display_pub.outputs.clear()
    stderr = Stderr()
    with redirect_stdout(io.StringIO()), redirect_stderr(stderr):
        shell.run_cell(_EXPORT)
    displays = [
        {
            "id": shown["transient"]["display_id"],
            "update": shown["update"],
            "text": shown["data"]["text/plain"],
        }
        for shown in shell.display_pub.outputs
    ]
    report = {"tracebacks": tracebacks, "displays": displays, "stderr": stderr.getvalue()}
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
