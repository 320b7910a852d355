"""The field names of release 0.1 still work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from syncro_async import SYNCRO
from syncro_async.dialects import ROUTEMCP, Dialect

EARLIER: dict[str, Any] = {
    "uncounted": frozenset({418}),
    "pause_without_time": 7.0,
    "shortest_pause": 3.0,
}


def fields_of(dialect: Dialect) -> tuple[object, ...]:
    return dialect.uncounted_statuses, dialect.default_retry_after, dialect.min_retry_after


def test_they_can_be_read() -> None:
    changed = replace(
        SYNCRO, uncounted_statuses=frozenset({418}), default_retry_after=7.0, min_retry_after=3.0
    )
    assert changed.uncounted == frozenset({418})
    assert changed.pause_without_time == 7.0
    assert changed.shortest_pause == 3.0


def test_the_constructor_and_replace_accept_them() -> None:
    made = Dialect("x", "X", "https://x.example", "x-key", SYNCRO.rates, **EARLIER)
    assert fields_of(made) == (frozenset({418}), 7.0, 3.0)
    for dialect in (SYNCRO, ROUTEMCP):
        changed = replace(dialect, **EARLIER)
        assert fields_of(changed) == (frozenset({418}), 7.0, 3.0)
        assert type(changed) is type(dialect)
