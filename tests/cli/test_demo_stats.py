from __future__ import annotations

import pytest

from syncro_async import RateLimit
from syncro_async.cli.demo import DemoStats, share_of_bound
from syncro_async.events import AnswerReceived, RequestSent, SlotWaited

RATE = RateLimit(60, 5.0)


def told(*events: RequestSent | AnswerReceived | SlotWaited) -> DemoStats:
    tally = DemoStats()
    for event in events:
        tally(event)
    return tally


def sent(at: float) -> RequestSent:
    return RequestSent("GET", "/leads", at)


def answered(at: float, latency: float, status: int = 200) -> AnswerReceived:
    return AnswerReceived("GET", "/leads", status, at, latency)


def test_the_tally_measures_from_the_first_send_to_the_last_answer() -> None:
    tally = told(sent(10.0), answered(10.5, 0.5), sent(11.0), answered(11.1, 0.1, status=429))
    assert tally.requests == 2
    assert tally.refused == 1
    assert tally.elapsed == pytest.approx(1.1)
    assert tally.mean_latency == pytest.approx(0.3)


def test_other_events_do_not_count() -> None:
    assert told(SlotWaited("GET", "/leads", "bulk", 3.0)) == DemoStats()


def test_nothing_measured_is_zero_and_no_share() -> None:
    assert (DemoStats().elapsed, DemoStats().mean_latency) == (0.0, 0.0)
    assert share_of_bound(DemoStats(), RATE) is None
    unanswered = told(*[sent(float(n)) for n in range(61)])
    assert unanswered.elapsed == 0.0
    assert share_of_bound(unanswered, RATE) is None


def test_a_run_on_the_bound_has_a_share_of_one() -> None:
    # 121 requests, each waiting for the answer 60 before it: two full rounds and not a moment more.
    latency = 0.1
    starts = [n // 60 * (5.25 + latency) for n in range(121)]
    events = [event for at in starts for event in (sent(at), answered(at + latency, latency))]
    tally = told(*events)
    assert tally.elapsed == pytest.approx(2 * 5.35 + 0.1)
    assert share_of_bound(tally, RATE) == pytest.approx(2 * 5.35 / (2 * 5.35 + 0.1))


def test_the_guard_is_part_of_the_bound() -> None:
    tally = told(sent(0.0), answered(0.0, 0.0), *[sent(1.0)] * 60, answered(12.0, 0.0))
    assert share_of_bound(tally, RateLimit(60, 5.0, guard=1.0)) == pytest.approx(6.0 / 12.0)


@pytest.mark.parametrize(("requests", "bounded"), [(1, False), (60, False), (61, True)])
def test_only_a_run_longer_than_the_first_round_is_bounded(requests: int, *, bounded: bool) -> None:
    tally = told(*[sent(0.0)] * requests, answered(6.0, 0.1))
    assert (share_of_bound(tally, RATE) is not None) is bounded
