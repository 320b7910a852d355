"""Which lane has the next slot, as pure functions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncro_async.limiting.budget.lane_order import (
    INTERACTIVE_IN_A_ROW,
    bounded,
    bulk_before,
    bulk_forecast,
    debt_after,
    interactive_before,
    is_bulks_turn,
    turns,
)

counts = st.integers(0, 30)
debts = st.integers(-10, INTERACTIVE_IN_A_ROW)


def drawn(interactive: int, bulk: int, debt: int, due: int) -> str:
    return "".join("b" if bulks else "i" for bulks in turns(interactive, bulk, debt, due))


def test_interactive_calls_go_first_and_every_fifth_slot_is_the_bulk_lanes() -> None:
    assert drawn(9, 4, 0, due=13) == "iiiibiiiibibb"
    assert drawn(2, 2, 3, due=4) == "ibib"


def test_a_bulk_lane_that_is_not_due_has_only_the_slots_that_it_is_owed() -> None:
    assert drawn(9, 4, 0, due=0) == "iiiibiiiibi"
    assert drawn(0, 4, 4, due=0) == ""


def test_the_pace_lets_bulk_calls_follow_when_no_interactive_call_waits() -> None:
    assert drawn(0, 4, 0, due=3) == "bbb"
    assert drawn(2, 4, 0, due=3) == "iib"


def test_a_bulk_lane_that_had_more_than_its_share_lets_more_interactive_calls_go() -> None:
    debt = 0
    for _ in range(20):
        debt = bounded(debt_after(debt, bulks_turn=True), 10)
    assert debt == -10
    assert drawn(22, 3, debt, due=0) == "i" * 14 + "biiiibiiii"


def test_a_debt_is_kept_as_far_as_it_matters() -> None:
    assert bounded(9, 0) == INTERACTIVE_IN_A_ROW
    assert bounded(9, 0, interactive=0, bulk=0) == 0
    assert bounded(9, 0, interactive=9, bulk=3) == 9
    assert bounded(-9, 0, interactive=9, bulk=3) == -5
    assert bounded(-30, 10) == -10


@given(counts, st.integers(1, 30), debts)
def test_at_least_every_fifth_slot_is_the_bulk_lanes(
    interactive: int, bulk: int, debt: int
) -> None:
    order = drawn(interactive, bulk, debt, due=0)
    first, *later = order.split("b")
    assert len(first) == min(interactive, INTERACTIVE_IN_A_ROW - debt)
    while_bulk_waits = later[:-1] if order.count("b") == bulk else later
    assert all(len(row) <= INTERACTIVE_IN_A_ROW for row in while_bulk_waits)


@given(counts, counts, debts)
def test_who_goes_before_whom_is_counted_as_in_the_order(
    interactive: int, bulk: int, debt: int
) -> None:
    order = drawn(interactive, bulk, debt, due=1000)
    places = {lane: [place for place, other in enumerate(order) if other == lane] for lane in "ib"}
    for before, place in enumerate(places["i"]):
        assert before + bulk_before(before, bulk, debt) == place
    for before, place in enumerate(places["b"]):
        assert before + interactive_before(before, interactive, debt) == place


def test_a_bulk_call_is_sent_in_its_turn_or_after_all_others() -> None:
    def slot_at(place: int) -> float:
        return 2.0 * place

    def due_at(place: int) -> float:
        return 3.0 * place

    # Two wait before it: it has to wait for the pace.
    assert bulk_forecast(1, 1, 0, slot_at, due_at) == 6.0
    # Four of eighty, and the next slot is the bulk lane's.
    assert bulk_forecast(0, 80, 0, slot_at, due_at) == 8.0
    # The pace is not the bulk lane's alone, and lets it be sent before its turn comes.
    assert bulk_forecast(0, 8, -10, slot_at, lambda place: 0.0 * place) == 16.0


def test_a_bulk_call_is_next_only_when_it_is_due_or_owed() -> None:
    assert not is_bulks_turn(3, interactive=True, due=True)
    assert is_bulks_turn(4, interactive=True, due=False)
    assert is_bulks_turn(0, interactive=False, due=True)
    assert not is_bulks_turn(4, interactive=False, due=False)
