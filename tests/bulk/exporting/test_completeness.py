from __future__ import annotations

from collections.abc import Sequence

import pytest

from syncro_async.bulk.exporting.completeness import (
    MAX_PASSES,
    Completeness,
    Pass,
    Snapshot,
    evaluate,
    may_return,
    proof,
)

CALM = Pass(lowest=9, highest=9, shown=9, new=0)


def a_moment(known: int, *, total: int = 9, alone: int = 3, position: int = 0) -> Snapshot:
    return Snapshot(position, total, alone, known)


def test_a_page_that_shows_as_many_as_it_counts_proves_itself() -> None:
    whole = a_moment(9, alone=9)
    first = Pass(lowest=9, highest=9, shown=9, new=9)
    for returning in (False, True):
        assert proof([whole], [first], returning=returning) == whole
        assert evaluate([whole], [first], returning=returning) == Completeness(proof="page")


def test_a_moment_of_which_every_counted_lead_is_known_proves_the_list() -> None:
    moments = [a_moment(8, position=0), a_moment(9, position=2), a_moment(7, position=4)]
    assert proof(moments, [CALM, CALM], returning=False) == moments[1]
    assert evaluate(moments, [CALM, CALM], returning=False) == Completeness(proof="twice", since=2)


def test_the_latest_such_moment_is_taken() -> None:
    moments = [a_moment(9, position=at) for at in (0, 3, 5)]
    assert proof(moments, [CALM, CALM], returning=False) == moments[2]


def test_as_long_as_one_lead_is_not_accounted_for_it_goes_on() -> None:
    for readings in range(1, MAX_PASSES):
        assert evaluate([a_moment(8)], [CALM] * readings, returning=False) is None
    assert MAX_PASSES >= 20


def test_in_the_end_it_says_how_many_are_missing() -> None:
    verdict = evaluate([a_moment(3), a_moment(7)], [CALM] * MAX_PASSES, returning=False)
    assert verdict is not None
    assert not verdict.complete
    assert verdict.since == 0
    assert "of 9 leads the server counts, 2 at least" in (verdict.reason or "")


def test_a_count_below_what_is_known_proves_nothing_any_more() -> None:
    moments = [a_moment(10), a_moment(9, alone=9, position=3)]
    assert proof(moments, [CALM, CALM], returning=False) is None
    verdict = evaluate([a_moment(10)], [CALM] * MAX_PASSES, returning=False)
    assert verdict is not None
    assert "counts 9 leads where 10 are known" in (verdict.reason or "")


def test_where_leads_may_come_back_the_two_readings_around_it_have_to_be_calm() -> None:
    moments = [a_moment(9, position=4)]
    assert proof(moments, [CALM, CALM], returning=True) == moments[0]
    # Who was there before may have left without being seen, so nobody is taken to be gone.
    assert evaluate(moments, [CALM, CALM], returning=True) == Completeness(proof="twice", since=0)


@pytest.mark.parametrize(
    "readings",
    [
        [CALM],
        [CALM, Pass(lowest=8, highest=9, shown=9, new=0)],
        [Pass(lowest=9, highest=10, shown=9, new=0), CALM],
        [CALM, Pass(lowest=9, highest=9, shown=8, new=0)],
        [CALM, Pass(lowest=9, highest=9, shown=9, new=1)],
        [Pass(lowest=8, highest=8, shown=8, new=0), CALM],
    ],
)
def test_any_stir_in_them_is_no_calm(readings: Sequence[Pass]) -> None:
    assert proof([a_moment(9)], readings, returning=True) is None


def test_a_filtered_list_that_never_calms_down_says_so() -> None:
    stir = Pass(lowest=8, highest=9, shown=9, new=1)
    verdict = evaluate([a_moment(9)], [stir] * MAX_PASSES, returning=True)
    assert verdict is not None
    assert "leads left it and came back" in (verdict.reason or "")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, False),
        ({"updated_since": 1, "created_from": 1, "created_to": 1, "include": "owner"}, False),
        ({"tags": ["vip"]}, True),
        ({"created_from": 1, "stage_id": 5}, True),
        ({"q": "Ana"}, True),
    ],
)
def test_only_filters_on_what_changes_let_leads_leave_and_come_back(
    filters: dict[str, object], *, expected: bool
) -> None:
    assert may_return(filters) is expected
