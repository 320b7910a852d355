"""The committed fuzzer: it runs for a while, and it sees what must not be."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.fuzz_wire import KEY, Fuzz, shows_key
from benchmarks.hostile_server import answer_to
from syncro_async.errors import NotFoundError

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "fuzz_wire.py"


def test_it_runs_for_as_long_as_asked_and_all_holds() -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, "--seconds", "10"],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("all holds\n")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "text",
    [
        f"no such key: {KEY}",
        KEY[4:18].upper(),
        "".join(f"\\u{ord(each):04x}" for each in KEY),
        "".join(f"%{ord(each):02x}" for each in KEY),
        "".join(f"&#{ord(each)};" for each in KEY),
        base64.b64encode(f"u:{KEY}".encode()).decode(),
        KEY.encode().hex(),
    ],
)
def test_it_sees_the_key_in_any_spelling(text: str) -> None:
    assert shows_key(text)
    assert not shows_key("crm_ is how keys begin")


def test_it_tells_what_is_wrong_with_an_error() -> None:
    run = Fuzz(0)
    run._judge(1, "get", KeyError("raw"))
    run._judge(2, "get", NotFoundError(f"two\nlines {KEY}", status=404))
    run._judge(3, "get", NotFoundError("x" * 6_000, status=404))
    run._judge_texts(4, "get", ["a line\nand another"])
    said = "\n".join(run.findings)
    assert "case 1, get: raised KeyError" in said
    assert "case 2, get: does not stand on one line" in said
    assert "case 2, get: shows the key" in said
    assert "case 3, get: its text has" in said
    assert "case 4, get: does not stand on one line" in said


def test_one_seed_is_one_server() -> None:
    request = b"GET /%d/leads?page=2 HTTP/1.1\r\nX-API-Key: k\r\n\r\n"
    assert {answer_to(request % 5) for _ in range(3)} == {answer_to(request % 5)}
    assert len({answer_to(request % seed) for seed in range(20)}) > 15
