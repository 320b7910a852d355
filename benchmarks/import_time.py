"""Asks what `import syncro_async` costs, against `import httpx`, in fresh interpreters.

python -m benchmarks.import_time [--quick]
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.harness import Report, Row, middle, program, ratios

ROUNDS = 25
BAR = 1.35
_TIMED = "import time; began = time.process_time(); import {}; print(time.process_time() - began)"


def cost(module: str) -> float:
    """Seconds of CPU."""
    command = [sys.executable, "-c", _TIMED.format(module)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603 - this Python


def ask(quick: bool) -> Report:
    """Measure in turn, and hold it against the bar."""
    names = ("httpx", "syncro_async")
    took: dict[str, list[float]] = {name: [] for name in names}
    for number in range((1 if quick else ROUNDS) + 1):
        for name in names if number % 2 else reversed(names):
            took[name].append(cost(name))
    base, ours = took["httpx"][1:], took["syncro_async"][1:]
    ratio, noise = middle(ratios(ours, base))
    spent = f"{middle(ours)[0] * 1e3:.0f} ms against {middle(base)[0] * 1e3:.0f} ms"
    question = "`import syncro_async` against `import httpx`"
    return Report([Row(question, "syncro_async", ratio, "×", noise, BAR, beside=spent)])


if __name__ == "__main__":
    sys.exit(program(__doc__, ask))
