"""A process that makes calls: `python -m tests.system.caller_process '{"calls": 75, …}'`.

It prints `ready`, waits for a line on its standard input, then prints the id of each lead it was
answered for, and in the end `done` and how many calls were lost.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from subprocess import PIPE, Popen
from types import TracebackType
from typing import IO, Any, Self

from syncro_async import AsyncClient, RateLimit
from syncro_async.errors import SyncroError
from syncro_async.sandbox import FULL_KEY

# What a request may take at the most: the slots of a process that is killed are free again so long
# after it took them, and a window.
TIMEOUT = 3.0


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def make_calls(
    *, base_url: str, limiter: str, rate: tuple[int, float], lane: Any, calls: int, first: int
) -> None:
    async with AsyncClient(
        FULL_KEY,
        base_url=base_url,
        limiter=limiter,
        rate_limit=RateLimit(*rate),
        lane=lane,
        timeout=TIMEOUT,
    ) as syncro:

        async def call(number: int) -> bool:
            try:
                lead = await syncro.leads.get(number)
            except SyncroError as error:
                sys.stderr.write(f"lost: {error!r}\n")
                return False
            say(lead.id)
            return True

        say("ready")
        sys.stdin.readline()
        answered = await asyncio.gather(*(call(first + number) for number in range(calls)))
    say("done", answered.count(False))


class CallerProcess:
    """Such a process, as a test sees it; leaving the block ends it."""

    def __init__(self, **settings: Any) -> None:
        self.process = Popen(
            [sys.executable, "-m", "tests.system.caller_process", json.dumps(settings)],
            cwd=Path(__file__).parents[2],
            stdin=PIPE,
            stdout=PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        with self._stdin, self._stdout:
            self.process.wait()

    def wait_until_ready(self) -> None:
        assert self.hear() == "ready"

    def start(self) -> None:
        self._stdin.write("go\n")
        self._stdin.flush()

    def hear(self) -> str:
        """The next line it prints, empty when it has ended."""
        return self._stdout.readline().strip()

    def kill(self) -> None:
        """Ends in the middle of whatever it does."""
        self.process.kill()
        self.process.wait()

    def to_the_end(self) -> tuple[int, int]:
        """How many calls were answered from now on, and how many were lost."""
        answered = 0
        while (line := self.hear()).isdecimal():
            answered += 1
        done, lost = line.split()
        assert done == "done"
        return answered, int(lost)

    @property
    def _stdin(self) -> IO[str]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def _stdout(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout


if __name__ == "__main__":
    asyncio.run(make_calls(**json.loads(sys.argv[1])))
