"""The pace of the bulk lane, as pure functions."""

from __future__ import annotations

import msgspec
import pytest

from syncro_async.limiting.budget.pacing import (
    INTERACTIVE_MEMORY,
    BulkPace,
    bulk_available_at,
    bulk_interval,
    note_bulk,
    note_interactive,
    return_bulk,
)


def test_the_interval_is_that_of_the_tightest_limit() -> None:
    assert bulk_interval([(60, 60.25)]) == pytest.approx(60.25 / 60)
    assert bulk_interval([(60, 60.25), (10, 20.0)]) == 2.0


def test_a_bulk_lane_alone_is_not_paced() -> None:
    pace = note_bulk(BulkPace(), 100.0, 1.0)
    assert bulk_available_at(pace, 100.0, 1.0, place=50) == 100.0


def test_an_interactive_call_paces_the_bulk_lane_for_ten_minutes() -> None:
    pace = note_bulk(note_interactive(BulkPace(), 100.0), 100.0, 1.5)
    assert INTERACTIVE_MEMORY == 600.0
    assert [bulk_available_at(pace, 100.0, 1.5, place=place) for place in range(3)] == [
        101.5,
        103.0,
        104.5,
    ]
    assert bulk_available_at(pace, 102.0, 1.5) == 102.0
    assert bulk_available_at(pace, 102.0, 1.5, place=1000) == 700.0
    assert bulk_available_at(pace, 701.0, 1.5, place=1000) == 701.0


def test_a_bulk_call_that_was_not_sent_does_not_delay_the_next_one() -> None:
    pace = note_bulk(note_interactive(BulkPace(), 100.0), 100.0, 1.5)
    assert bulk_available_at(return_bulk(pace, 1.5), 100.0, 1.5) == 100.0


def test_the_state_can_be_stored() -> None:
    pace = note_bulk(note_interactive(BulkPace(), 100.0), 100.0, 1.5)
    assert msgspec.json.decode(msgspec.json.encode(pace), type=BulkPace) == pace
