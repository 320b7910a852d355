"""What a process has to tell a shared budget, and until when."""

from __future__ import annotations

from syncro_async.limiting.budget.messages import Join, Limit, SyncResponse
from syncro_async.limiting.protocol import LATE_ARRIVAL_GRACE, Answered, NotCounted, Unknown
from syncro_async.limiting.shared.outbox import Outbox

HOLD = 60.25
ANSWER = SyncResponse(
    epoch="e",
    granted=[],
    positions={},
    seconds_until_free=[[]],
    limits=[2],
    leases_held=0,
    waiting=0,
    waiting_bulk=0,
    gate_closed_for=0.0,
    half_open=False,
    probe="",
)


def news() -> Outbox:
    return Outbox([Limit(2, HOLD)], timeout=30.0)


def test_what_was_told_is_told_no_more() -> None:
    ours = news()
    ours.add_join(Join("waits", bulk=False))
    ours.add_leave("left")
    ours.add_held("flies")
    ours.add_outcome("ended", NotCounted(), 0.0)
    visit = ours.build_request(0.0, busy=False)
    assert [join.lease_id for join in visit.joins] == ["waits"]
    assert (visit.leaves, visit.held) == (["left"], ["flies"])
    assert [settled.lease_id for settled in visit.outcomes] == ["ended"]
    assert ours.acknowledge(visit, ANSWER)
    assert not ours


def test_what_came_up_during_a_visit_is_told_with_the_next() -> None:
    ours = news()
    visit = ours.build_request(0.0, busy=False)
    ours.add_held("flies")
    ours.add_outcome("ended", NotCounted(), 0.0)
    assert ours.acknowledge(visit, ANSWER)
    visit = ours.build_request(0.0, busy=False)
    assert visit.held == ["flies"]
    assert [settled.lease_id for settled in visit.outcomes] == ["ended"]


def test_answers_count_from_when_they_came_and_what_was_lost_later() -> None:
    ours = news()
    ours.add_outcome("answered", Answered(1.0), 3.0)
    ours.add_outcome("lost", Unknown(), 3.0)
    ours.add_outcome("back", NotCounted(), 3.0)
    assert ours.answered() == [1.0, 3.0 + LATE_ARRIVAL_GRACE]
    told = {
        settled.lease_id: settled.seconds
        for settled in ours.build_request(4.0, busy=False).outcomes
    }
    assert told == {"answered": 3.0, "lost": 1.0, "back": 0.0}


def test_what_is_older_than_the_longest_window_is_not_told_any_more() -> None:
    ours = news()
    ours.add_outcome("answered", Answered(0.0), 1.0)
    ours.add_outcome("lost", Unknown(), 1.0)
    ours.build_request(HOLD, busy=False)
    assert ours.answered() == [0.0, 1.0 + LATE_ARRIVAL_GRACE]
    visit = ours.build_request(HOLD + 0.5, busy=False)
    assert [settled.lease_id for settled in visit.outcomes] == ["lost"]
    assert ours.answered() == [1.0 + LATE_ARRIVAL_GRACE]
    ours.build_request(1.0 + LATE_ARRIVAL_GRACE + HOLD + 0.5, busy=False)
    assert not ours


def test_of_several_windows_the_longest_says_how_long_an_answer_is_known() -> None:
    ours = Outbox([Limit(2, 1.0), Limit(9, HOLD)], timeout=30.0)
    ours.add_outcome("answered", Answered(0.0), 0.0)
    ours.build_request(HOLD, busy=False)
    assert ours.answered() == [0.0]


def test_a_slot_is_over_until_the_store_has_heard_so() -> None:
    ours = news()
    ours.add_outcome("ended", NotCounted(), 0.0)
    ours.add_leave("left")
    ours.add_held("flies")
    assert [ours.is_over(ticket) for ticket in ("ended", "left", "flies")] == [True, True, False]
    ours.acknowledge(ours.build_request(0.0, busy=False), ANSWER)
    assert [ours.is_over(ticket) for ticket in ("ended", "left")] == [False, False]
