"""How far a bulk job is, as a frozen fact."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """A job's progress at one moment; `rate` is items per second so far."""

    job: str
    phase: str
    done: int
    total: int | None
    requests: int
    seconds: float
    rate: float
    seconds_left: float | None


OnProgress = Callable[[Progress], object]
