"""Names the cases of a test alike in each process that runs the tests."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any


def stable_id(value: object, show: Callable[[Any], str] = repr) -> str:
    """The name of a case, which is the same in each process that runs the tests."""
    text = re.sub(r" at 0x[0-9a-f]+", "", show(value))
    return text[:60].encode("ascii", "backslashreplace").decode()
