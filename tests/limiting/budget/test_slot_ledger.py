"""The arithmetic of slots, without a clock."""

from __future__ import annotations

from syncro_async.limiting.budget.slot_ledger import SlotLedger
from syncro_async.limiting.rate_limit import RateLimit

MINUTE = RateLimit(3, 60.0, guard=0.5)
HOUR = RateLimit(5, 3600.0, guard=0.5)


def at_once(_place: int) -> float:
    return 0.0


def free(slots: SlotLedger, now: float) -> int:
    """How many may be sent; asked in both ways there are."""
    room = max(0, min(slots.free_of_each(now)))
    assert slots.has_free(now) is (room > 0)
    return room


def test_a_slot_is_taken_from_the_send_until_window_and_guard_after_the_answer() -> None:
    slots = SlotLedger([MINUTE])
    assert free(slots, 0.0) == 3
    slots.take()
    assert (free(slots, 500.0), slots.in_flight) == (2, 1)
    slots.mark_answered(500.0)
    assert (free(slots, 560.4), slots.in_flight) == (2, 0)
    assert free(slots, 560.5) == 3


def test_a_slot_handed_back_is_free_at_once() -> None:
    slots = SlotLedger([MINUTE])
    slots.take()
    slots.return_unused()
    assert free(slots, 0.0) == 3
    assert slots.is_idle(0.0)


def test_what_is_left_to_strangers_is_as_of_the_time_asked_for() -> None:
    slots = SlotLedger([RateLimit(10, 60.0, guard=0.5)])
    for _ in range(4):
        slots.take()
    slots.learn_from_429(30.0)
    assert slots.foreign(90.4) == 5
    assert slots.foreign(90.5) == 4
    assert slots.foreign(151.0) == 2


def test_what_was_answered_before_is_no_stranger_to_the_servers_count() -> None:
    slots = SlotLedger([RateLimit(10, 60.0, guard=0.5)])
    for _ in range(3):
        mark = slots.take()
        slots.mark_answered(1.0)
    slots.count_foreign(1.0, mark, 7)
    assert free(slots, 1.0) == 7
    slots.count_foreign(1.0, mark, 5)
    assert free(slots, 1.0) == 5


def test_free_slots_never_fall_below_none() -> None:
    slots = SlotLedger([MINUTE])
    for _ in range(4):
        slots.take()
    assert free(slots, 0.0) == 0
    assert slots.free_of_each(0.0) == [-1]
    assert slots.next_free_at(0.0) is None


def test_slots_return_in_the_order_of_their_answers_not_of_their_sends() -> None:
    slots = SlotLedger([MINUTE])
    for answered_at in (30.0, 10.0, 20.0):
        slots.take()
        slots.mark_answered(answered_at)
    assert slots.next_free_at(30.0) == 70.5
    assert [free(slots, now) for now in (70.4, 70.5, 80.5, 90.5)] == [0, 1, 2, 3]


def test_nobody_knows_when_the_next_slot_is_free_while_all_are_in_flight() -> None:
    slots = SlotLedger([MINUTE])
    for _ in range(3):
        slots.take()
    assert slots.next_free_at(0.0) is None
    slots.mark_answered(1.0)
    assert slots.next_free_at(1.0) == 61.5


def test_several_limits_hold_at_once_and_the_latest_decides() -> None:
    slots = SlotLedger([MINUTE, HOUR])
    for now in (0.0, 0.0, 0.0):
        slots.take()
        slots.mark_answered(now)
    assert slots.free_of_each(0.0) == [0, 2]
    assert slots.next_free_at(0.0) == 60.5
    for _ in range(2):
        slots.take()
        slots.mark_answered(60.5)
    assert slots.free_of_each(60.5) == [1, 0]
    assert free(slots, 60.5) == 0
    assert slots.next_free_at(60.5) == 3600.5
    assert not slots.is_idle(3600.5)
    assert slots.is_idle(3661.0)


def test_the_forecast_follows_the_slots_round_by_round() -> None:
    slots = SlotLedger([MINUTE])
    slots.take()
    slots.mark_answered(10.0)  # back at 70.5
    slots.take()  # answered at 22, back at 82.5
    waits = [slots.forecast(20.0, place, 2.0, at_once) for place in range(6)]
    assert waits == [20.0, 70.5, 82.5, 20.0 + 62.5, 70.5 + 62.5, 82.5 + 62.5]


def test_the_forecast_heeds_what_else_holds_a_place_up() -> None:
    slots = SlotLedger([MINUTE])
    slots.take()
    slots.mark_answered(10.0)
    waits = [slots.forecast(20.0, place, 2.0, lambda place: 50.0 + place) for place in range(4)]
    assert waits == [50.0, 51.0, 70.5, 50.0 + 62.5]


def test_the_forecast_of_several_limits_adds_their_rounds_up() -> None:
    slots = SlotLedger([MINUTE, HOUR])
    waits = [slots.forecast(0.0, place, 0.0, at_once) for place in (2, 3, 4, 5, 7, 8)]
    assert waits == [0.0, 60.5, 60.5, 3600.5, 3600.5, 3661.0]
