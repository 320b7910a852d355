"""What a process has to tell a shared budget, and until when."""

from __future__ import annotations

from syncro_async.limiting.limiter import LATE_ARRIVAL, Answered, HandedBack, Lost
from syncro_async.limiting.shared.news import News
from syncro_async.limiting.shared.visits import Join, Limit

HOLD = 60.25


def news() -> News:
    return News([Limit(2, HOLD)], timeout=30.0)


def test_what_was_told_is_told_no_more() -> None:
    ours = news()
    ours.joins(Join("waits", bulk=False))
    ours.leaves("left")
    ours.flies("flies")
    ours.settled("ended", HandedBack(), 0.0)
    visit = ours.visit(0.0, busy=False)
    assert [join.ticket for join in visit.joins] == ["waits"]
    assert (visit.leaves, visit.flies) == (["left"], ["flies"])
    assert [settled.ticket for settled in visit.settled] == ["ended"]
    assert ours.told(visit, "epoch")
    assert not ours


def test_what_came_up_during_a_visit_is_told_with_the_next() -> None:
    ours = news()
    visit = ours.visit(0.0, busy=False)
    ours.flies("flies")
    ours.settled("ended", HandedBack(), 0.0)
    assert ours.told(visit, "epoch")
    visit = ours.visit(0.0, busy=False)
    assert visit.flies == ["flies"]
    assert [settled.ticket for settled in visit.settled] == ["ended"]


def test_answers_count_from_when_they_came_and_what_was_lost_later() -> None:
    ours = news()
    ours.settled("answered", Answered(1.0), 3.0)
    ours.settled("lost", Lost(), 3.0)
    ours.settled("back", HandedBack(), 3.0)
    assert ours.answered() == [1.0, 3.0 + LATE_ARRIVAL]
    told = {settled.ticket: settled.seconds for settled in ours.visit(4.0, busy=False).settled}
    assert told == {"answered": 3.0, "lost": 1.0, "back": 0.0}


def test_what_is_older_than_the_longest_window_is_not_told_any_more() -> None:
    ours = news()
    ours.settled("answered", Answered(0.0), 1.0)
    ours.settled("lost", Lost(), 1.0)
    ours.visit(HOLD, busy=False)
    assert ours.answered() == [0.0, 1.0 + LATE_ARRIVAL]
    visit = ours.visit(HOLD + 0.5, busy=False)
    assert [settled.ticket for settled in visit.settled] == ["lost"]
    assert ours.answered() == [1.0 + LATE_ARRIVAL]
    ours.visit(1.0 + LATE_ARRIVAL + HOLD + 0.5, busy=False)
    assert not ours


def test_of_several_windows_the_longest_says_how_long_an_answer_is_known() -> None:
    ours = News([Limit(2, 1.0), Limit(9, HOLD)], timeout=30.0)
    ours.settled("answered", Answered(0.0), 0.0)
    ours.visit(HOLD, busy=False)
    assert ours.answered() == [0.0]


def test_a_slot_is_over_until_the_store_has_heard_so() -> None:
    ours = news()
    ours.settled("ended", HandedBack(), 0.0)
    ours.leaves("left")
    ours.flies("flies")
    assert [ours.is_over(ticket) for ticket in ("ended", "left", "flies")] == [True, True, False]
    ours.told(ours.visit(0.0, busy=False), "epoch")
    assert [ours.is_over(ticket) for ticket in ("ended", "left")] == [False, False]
