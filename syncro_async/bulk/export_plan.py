"""Foresees how many requests the reading of a list takes."""

from __future__ import annotations

import math


def requests_for(total: int, page_size: int) -> int:
    """One request for a list on one page, else two readings of all pages (see `passes`)."""
    pages = max(1, math.ceil(total / page_size))
    return pages if pages == 1 else 2 * pages
