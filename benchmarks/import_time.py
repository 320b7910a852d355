"""Asks what `import syncro_async` costs, against `import httpx`, in fresh interpreters.

    python -m benchmarks.import_time [--quick]

httpx imports click and rich with it where they are installed, which costs more than httpx itself.
So there are two rows: with whatever is installed here, and without these, which is what
`pip install syncro-async` brings. The package imports a name when it is asked for, so a third row
says what a program pays that asks for the client (httpx comes with the first one it makes).
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.harness import Report, Row, middle, program, ratios

ROUNDS = 15
BAR = 1.35
_TIMED = "import time; began = time.process_time(); {}; print(time.process_time() - began)"
_HTTPX, _OURS = "import httpx", "import syncro_async"
_CLIENT = "from syncro_async import AsyncClient"
_HIDDEN = "import sys; sys.modules |= dict.fromkeys(['click', 'rich', 'pygments']); "
WAYS = {
    "a bare installation": (_HIDDEN + _TIMED, _OURS, BAR),
    "with click and rich": (_TIMED, _OURS, BAR),
    "a bare installation, and the client of it": (_HIDDEN + _TIMED, _CLIENT, None),
}


def cost(statement: str, way: str) -> float:
    """Seconds of CPU."""
    command = [sys.executable, "-c", WAYS[way][0].format(statement)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603 - this Python


def row_of(way: str, rounds: int) -> Row:
    """Measure in turn, and hold it against the bar; the first round fills the caches."""
    _, statement, bar = WAYS[way]
    names = (_HTTPX, statement)
    took: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names if number % 2 else reversed(names):
            took[name].append(cost(name, way))
    base, ours = took[_HTTPX][1:], took[statement][1:]
    ratio, noise = middle(ratios(ours, base))
    spent = f"{middle(ours)[0] * 1e3:.0f} ms against {middle(base)[0] * 1e3:.0f} ms"
    question = "`import syncro_async` against `import httpx`"
    return Row(question, way, ratio, "×", noise, bar, beside=spent)


def ask(quick: bool) -> Report:
    """Both ways."""
    return Report([row_of(way, 1 if quick else ROUNDS) for way in WAYS])


if __name__ == "__main__":
    sys.exit(program(__doc__, ask))
