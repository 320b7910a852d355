"""What a bulk job will cost, before it begins."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """How many requests a job needs, and when the budget lets the last of them be answered."""

    requests: int
    seconds: float
    finishes_at: datetime
