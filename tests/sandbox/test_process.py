"""A sandbox served from a process of its own."""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Iterator

import httpx
import pytest

from syncro_async.sandbox import FULL_KEY, serving_in_process
from syncro_async.sandbox.process import SandboxProcess, serve_until_closed


@pytest.fixture
def _unchanged_process() -> Iterator[None]:
    """What is set up in a process of its own is taken back in this one."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    gc.unfreeze()
    signal.signal(signal.SIGINT, handler)


def leave(sandbox: SandboxProcess) -> None:
    raise KeyboardInterrupt


def kill_the_only_process() -> None:
    [process] = multiprocessing.active_children()
    process.kill()
    process.join()


def test_it_serves_and_tells_what_it_has_counted() -> None:
    with serving_in_process(leads=12, per_minute=2) as sandbox:
        answers = [
            httpx.get(f"{sandbox.url}/leads", headers={"X-API-Key": FULL_KEY}) for _ in range(3)
        ]
        counts = sandbox.refused(), sandbox.overdrawn()
        emails = sandbox.emails()

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].json()["meta"]["total"] == len(emails) == 12
    assert counts == (1, 1)
    assert multiprocessing.active_children() == []


def test_ctrl_c_in_the_block_ends_it_too() -> None:
    with pytest.raises(KeyboardInterrupt), serving_in_process(leads=3) as sandbox:
        leave(sandbox)
    assert multiprocessing.active_children() == []


def test_a_process_that_cannot_start_is_said_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="ended unexpectedly"), serving_in_process(window="none"):
        pass

    assert "none" in capfd.readouterr().err


def test_a_process_that_dies_is_an_error_and_not_a_wait() -> None:
    with serving_in_process(leads=3) as sandbox:
        kill_the_only_process()
        with pytest.raises(OSError, match="ended unexpectedly"):
            sandbox.refused()


@pytest.mark.usefixtures("_unchanged_process")
def test_it_serves_until_the_line_is_closed() -> None:
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        ours.send("refused")
        ours.send(None)
        serve_until_closed(theirs, {"leads": 3})
        assert ours.recv().endswith("/api/v1")
        assert ours.recv() == 0
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.usefixtures("_unchanged_process")
def test_it_ends_quietly_when_nobody_is_there_any_more() -> None:
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    with theirs:
        serve_until_closed(theirs, {"leads": 3})
        with pytest.raises(EOFError):
            theirs.recv()
