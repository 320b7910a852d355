"""What a visit does to a shared budget, rule by rule."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from syncro_async.errors import ConfigurationError
from syncro_async.limiting.budget.burst import burst_shape
from syncro_async.limiting.budget.messages import (
    Join,
    Limit,
    Outcome,
    Seen,
    SyncRequest,
    SyncResponse,
)
from syncro_async.limiting.budget.state import HEARTBEAT, OWNER_TTL, STATE_LOSS_PAUSE, BudgetState
from syncro_async.limiting.budget.store_time import Moment, heartbeats_of
from syncro_async.limiting.budget.stored_state import read_state, remember, write_state
from syncro_async.limiting.budget.sync import state_for, sync
from syncro_async.limiting.protocol import LATE_ARRIVAL_GRACE

HOLD, TIMEOUT = 60.25, 30.0


class Key:
    """A key's state, and a clock."""

    def __init__(self, calls: int = 2) -> None:
        self.limits = [Limit(calls, HOLD)]
        self.now = 1000.0
        self.visits = itertools.count(1)
        self.seen: dict[str, Seen | None] = {}
        self.remembers = True
        self.state = self.new_state()

    def new_state(self) -> BudgetState:
        return state_for(None, self.told("first"), self.now)

    def told(self, owner: str, *settled: Outcome, **more: Any) -> SyncRequest:
        name = f"{owner}/{next(self.visits)}"
        seen = self.seen.get(owner) if self.remembers else None
        fields = {"limits": self.limits, "timeout": TIMEOUT, "seen": seen, **more}
        return SyncRequest(owner=owner, name=name, outcomes=list(settled), **fields)

    def visit(
        self,
        owner: str,
        *settled: Outcome,
        joins: str = "",
        bulk: str = "",
        leaves: str = "",
        held: str = "",
    ) -> SyncResponse:
        waiting = [Join(t, bulk=False) for t in joins.split()]
        waiting += [Join(t, bulk=True) for t in bulk.split()]
        lists = {"joins": waiting, "leaves": leaves.split(), "held": held.split()}
        return self.sync(self.told(owner, *settled, **lists))

    def sync(self, request: SyncRequest) -> SyncResponse:
        """What the store answers; each process remembers what it saw."""
        moment = Moment.at(self.now)
        response = sync(self.state, request, moment).response
        stored = write_state(self.state)
        self.seen[request.owner] = remember(response, self.state, stored, moment).seen
        return response

    def pass_by(self, seconds: float, *owners: str) -> None:
        """Time passes, with the heartbeats of these processes."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + HEARTBEAT)
            for owner in owners:
                self.visit(owner)

    def refused(self, owner: str, ticket: str, pause: float) -> SyncResponse:
        """It is sent, and answered 429."""
        self.visit(owner, joins=ticket)
        return self.visit(owner, Outcome(ticket, "refused", pause))


def test_a_free_slot_is_given_at_once_and_taken_for_everybody() -> None:
    key = Key()
    assert key.visit("a", joins="a1").granted == ["a1"]
    ruling = key.visit("b", joins="b1 b2")
    assert ruling.granted == ["b1"]
    assert ruling.positions == {"b2": 0}
    assert (ruling.leases_held, ruling.waiting, ruling.seconds_until_free) == (2, 1, [[]])


def test_a_slot_returns_window_and_guard_after_the_answer_not_after_the_visit() -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    key.now += 10.0
    ruling = key.visit("a", Outcome("a1", "answered", 4.0), joins="a2")
    assert ruling.seconds_until_free == [[HOLD - 4.0]]
    key.now += HOLD - 4.0 - 0.01
    assert key.visit("a").granted == []
    key.now += 0.01
    assert key.visit("a").granted == ["a2"]


def test_a_slot_handed_back_is_free_at_once_and_one_that_is_lost_later() -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    assert key.visit("a", Outcome("a1", "back"), joins="a2").granted == ["a2"]
    ruling = key.visit("a", Outcome("a2", "lost"))
    assert ruling.seconds_until_free == [[LATE_ARRIVAL_GRACE + HOLD]]


def test_one_that_was_lost_a_while_before_the_visit_returns_so_much_earlier() -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    key.now += 10.0
    ruling = key.visit("a", Outcome("a1", "lost", 4.0))
    assert ruling.seconds_until_free == [[LATE_ARRIVAL_GRACE + HOLD - 4.0]]


def test_every_limit_holds() -> None:
    key = Key()
    key.limits = key.state.limits = [Limit(3, 1.0), Limit(2, 10.0)]
    ruling = key.visit("a", joins="a1 a2 a3")
    assert ruling.granted == ["a1", "a2"]
    assert ruling.limits == [3, 2]
    key.visit("a", Outcome("a1", "answered"), Outcome("a2", "answered"))
    key.now += 1.5
    ruling = key.visit("a")
    assert (ruling.granted, ruling.seconds_until_free) == ([], [[0.0, 0.0, 0.0], [8.5, 8.5]])
    key.now += 8.5
    assert key.visit("a").granted == ["a3"]


def test_news_that_is_told_twice_changes_nothing_twice() -> None:
    key = Key()
    key.visit("a", joins="a1 a2 a3")
    assert key.visit("a", joins="a1 a2 a3").positions == {"a3": 0}
    told = Outcome("a1", "answered"), Outcome("a2", "back")
    key.visit("a", *told, leaves="a3")
    request = key.told("a", *told, leaves=["a3"])
    result = sync(key.state, request, Moment.at(key.now))
    assert result.response.seconds_until_free == [[0.0, HOLD]]
    assert not result.changed


def test_a_call_that_is_named_twice_in_a_visit_stands_in_the_queue_once() -> None:
    key = Key(1)
    assert key.visit("a", joins="a1 a2 a2 a3").positions == {"a2": 0, "a3": 1}


def test_an_answer_counts_although_the_state_was_lost() -> None:
    key = Key(1)
    assert key.visit("a", Outcome("a1", "answered"), joins="a2").granted == []


def test_a_slot_given_unheard_is_named_again_and_lasts_from_then_on() -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    key.now += 1.0
    assert key.visit("a", joins="a1").granted == ["a1"]
    assert key.state.leases["a1"].expires_at == key.now + OWNER_TTL + TIMEOUT + HOLD


def test_a_slot_given_unheard_to_a_call_that_left_is_given_to_the_next() -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    key.visit("b", joins="b1")
    key.visit("a", leaves="a1")
    assert key.visit("b").granted == ["b1"]


def test_a_waiting_call_that_leaves_hands_its_turn_on() -> None:
    key = Key(1)
    key.visit("a", joins="a1 a2")
    assert key.visit("b", joins="b1").positions == {"b1": 1}
    key.visit("a", Outcome("a1", "back"), leaves="a2")
    assert key.visit("b").granted == ["b1"]


def test_a_leaving_call_leaves_though_it_is_named_as_joining_too() -> None:
    key = Key(1)
    ruling = key.visit("a", joins="a1 a2", leaves="a1")
    assert (ruling.granted, ruling.waiting) == (["a2"], 0)


def test_interactive_calls_of_one_process_overtake_the_bulk_calls_of_another() -> None:
    key = Key(1)
    key.visit("a", joins="a0")
    key.visit("a", bulk="b1 b2")
    assert key.visit("w", joins="i1 i2 i3 i4 i5").positions == {
        "i1": 0, "i2": 1, "i3": 2, "i4": 3, "i5": 5,
    }  # fmt: skip
    ruling = key.visit("a")
    assert ruling.positions == {"b1": 4, "b2": 6}
    assert (ruling.waiting, ruling.waiting_bulk) == (7, 2)


def test_bulk_has_its_fifth_slot_although_each_interactive_call_comes_alone() -> None:
    key = Key(1)
    key.visit("a", joins="i0")
    key.visit("b", bulk="b1")
    for number in range(1, 5):
        last = Outcome(f"i{number - 1}", "back")
        assert key.visit("a", last, joins=f"i{number}").granted == [f"i{number}"]
    assert key.visit("a", Outcome("i4", "back"), joins="i5").granted == []
    assert key.visit("b").granted == ["b1"]


def test_refused_calls_come_back_before_the_others_in_their_order() -> None:
    key = Key(1)
    key.visit("a", joins="a1 a2")
    told = key.told("b", joins=[Join(t, bulk=False, requeued=True) for t in ("r1", "r2")])
    assert key.sync(told).positions == {"r1": 0, "r2": 1}
    assert key.visit("a").positions == {"a2": 2}


def test_the_places_of_a_process_that_stays_away_lapse() -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    key.visit("b", joins="b1")
    key.visit("c", joins="c1")
    key.now += OWNER_TTL - 0.1
    assert key.visit("c").positions == {"c1": 1}
    key.now += 0.1
    assert key.visit("c").positions == {"c1": 0}
    ruling = key.visit("b")
    assert (ruling.granted, ruling.positions) == ([], {}), "b has to join again"


def test_the_slot_of_a_dead_process_returns_when_its_last_request_cannot_count_any_more() -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    key.pass_by(7.0, "a", "b")
    key.pass_by(OWNER_TTL + TIMEOUT + HOLD - 0.01, "b")
    assert key.visit("b", joins="b1").granted == []
    key.now += 0.01
    assert key.visit("b").granted == ["b1"]


def test_a_process_that_begins_where_all_others_are_silent_waits_for_two_heartbeats() -> None:
    key = Key(2)
    key.visit("a", joins="a1")
    key.now += OWNER_TTL
    assert key.visit("b", joins="b1").gate_closed_for == STATE_LOSS_PAUSE
    key.now += STATE_LOSS_PAUSE
    assert key.visit("b").granted == ["b1"]


def test_a_process_that_begins_in_a_state_of_a_second_ago_waits_for_two_heartbeats() -> None:
    key = Key(2)
    key.visit("a", joins="a1")
    key.now += 0.75
    assert key.visit("b", joins="b1").gate_closed_for == STATE_LOSS_PAUSE
    key.visit("a", joins="a2")
    assert key.visit("c", joins="c1").gate_closed_for == STATE_LOSS_PAUSE, "and not for longer"


def test_the_slot_of_a_process_that_leaves_counts_from_then_on() -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    key.pass_by(50.0, "a")
    key.sync(key.told("a", closes=True))
    key.pass_by(OWNER_TTL + TIMEOUT + HOLD - 0.01, "b")
    assert key.visit("b", joins="b1").granted == []
    key.now += 0.01
    assert key.visit("b").granted == ["b1"]


def test_a_process_that_leaves_is_not_missed() -> None:
    key = Key(2)
    key.visit("a", joins="a1")
    key.sync(key.told("a", Outcome("a1", "back"), closes=True))
    key.now += OWNER_TTL
    assert key.visit("b", joins="b1").granted == ["b1"]


def test_the_slot_of_a_living_process_is_its_own_until_it_says_so() -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    key.now += 1000.0
    key.visit("a")
    assert key.visit("b", joins="b1").granted == []


def test_a_429_pauses_everybody_then_one_goes_alone_then_the_queue() -> None:
    key = Key(5)
    assert key.refused("a", "a1", 9.0).gate_closed_for == 9.0
    key.pass_by(8.5, "a")
    ruling = key.visit("b", joins="b1 b2")
    assert (ruling.granted, ruling.gate_closed_for) == ([], 0.5)
    assert (ruling.half_open, ruling.probe) == (True, "")
    key.now += 0.5
    assert key.visit("a", joins="a2").granted == [], "b1 came first"
    ruling = key.visit("b")
    assert (ruling.granted, ruling.probe) == (["b1"], "b1")
    assert key.visit("a").granted == []
    ruling = key.visit("b", Outcome("b1", "answered"))
    assert (ruling.granted, ruling.half_open) == (["b2"], False)
    assert key.visit("a").granted == ["a2"]


@pytest.mark.parametrize("fate", ["back", "lost", "refused"])
def test_another_tries_the_gate_when_the_openers_end_says_nothing(fate: str) -> None:
    key = Key(5)
    key.refused("a", "a1", 0.0)
    assert key.visit("a", joins="a2 a3").granted == ["a2"]
    ruling = key.visit("a", msgspec.convert(["a2", fate], Outcome))
    assert (ruling.granted, ruling.half_open, ruling.probe) == (["a3"], True, "a3")


def test_another_tries_the_gate_when_the_openers_process_stays_away() -> None:
    key = Key(5)
    key.refused("a", "a1", 0.0)
    key.visit("a", joins="a2")
    key.pass_by(OWNER_TTL, "b")
    assert key.visit("b", joins="b1").granted == ["b1"]
    assert key.visit("a", Outcome("a2", "answered"), joins="a3").half_open


def test_the_openers_answer_does_not_open_a_gate_that_closed_again() -> None:
    key = Key(5)
    key.visit("a", joins="old")
    key.refused("a", "a1", 0.0)
    key.visit("a", joins="a2")
    key.visit("a", Outcome("old", "refused", 5.0))
    ruling = key.visit("a", Outcome("a2", "answered"), joins="a3")
    assert (ruling.granted, ruling.half_open, ruling.gate_closed_for) == ([], True, 5.0)


def test_a_clock_that_jumps_back_stands_still_and_goes_on() -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    key.visit("a", Outcome("a1", "answered"), joins="a2")
    key.now -= 300.0
    assert key.visit("a").seconds_until_free == [[HOLD]]
    key.now += HOLD
    assert key.visit("a").granted == ["a2"]


def test_a_state_serves_other_limits_once_it_is_idle() -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    key.visit("a", Outcome("a1", "answered"))
    others = key.told("b", limits=[Limit(5, 1.0)])
    with pytest.raises(ConfigurationError, match=r"other rates \(1 in 60.25 s, guard included\)"):
        state_for(key.state, others, key.now)
    assert state_for(key.state, key.told("b"), key.now).limits == key.limits
    assert state_for(key.state, others, key.now + HOLD).limits == others.limits


# ------------------------------------------------------------------------ a store that forgets


def test_nobody_sends_until_those_who_know_more_have_come() -> None:
    key = Key(1)
    known = key.visit("a", joins="a1").epoch
    key.visit("a", Outcome("a1", "answered"))
    key.state = key.new_state()
    key.now += HEARTBEAT
    after = key.visit("a", joins="a2")
    assert after.epoch != known
    assert after.granted == []
    assert after.gate_closed_for == STATE_LOSS_PAUSE
    key.pass_by(STATE_LOSS_PAUSE, "a")
    after = key.visit("a")
    assert (after.granted, after.gate_closed_for) == ([], 0.0)
    assert after.seconds_until_free == [[HOLD - HEARTBEAT - STATE_LOSS_PAUSE]]


@pytest.mark.parametrize("finds", ["nothing", "an older state"])
def test_what_anybody_saw_is_written_back_to_a_store_that_lost_it(finds: str) -> None:
    key = Key(4)
    key.visit("a", joins="a1 a2")
    older = write_state(key.state)
    key.visit("b", joins="b1")
    key.visit("a", Outcome("a1", "answered"), Outcome("a2", "back"), leaves="a2")
    key.visit("b")
    key.state = key.new_state() if finds == "nothing" else read_state(older)
    key.now += HEARTBEAT
    assert key.visit("b").leases_held == (1 if finds == "nothing" else 2)
    assert key.state.answered.keys() == {"a1"}
    assert key.visit("b", joins="b2").granted == ["b1"]
    after = key.visit("a", leaves="a2")
    assert (after.leases_held, after.gate_closed_for) == (1, STATE_LOSS_PAUSE)
    key.pass_by(STATE_LOSS_PAUSE, "a", "b")
    assert key.visit("b").granted == ["b1", "b2"]


def test_an_older_state_is_recognised_after_any_number_of_writes() -> None:
    key = Key(4)
    key.visit("a", joins="a1")
    older = write_state(key.state)
    key.visit("b", joins="b1")
    key.sync(key.told("b", Outcome("b1", "answered"), closes=True))
    known = key.visit("a").epoch
    key.state = read_state(older)
    for _ in range(10):
        key.visit("c")
    assert key.state.epoch == known
    assert key.visit("a").gate_closed_for == STATE_LOSS_PAUSE
    assert (key.state.epoch == known, list(key.state.answered)) == (False, ["b1"])


def test_a_state_that_was_written_often_since_is_no_older_one() -> None:
    key = Key(4)
    known = key.visit("a", joins="a1").epoch
    for _ in range(500):
        key.visit("b")
    assert key.visit("a").epoch == known


def test_a_clock_that_steps_back_lets_nobody_look_dead() -> None:
    state = Key().state
    state.clock, state.now = 5000.0, 40.0
    assert heartbeats_of(state, {"a": 4999.0, "b": 4990.0}, 5001.0) == {"a": 39.0, "b": 30.0}
    assert heartbeats_of(state, {"a": 4999.0, "b": 4700.0}, 4700.0) == {"a": 40.0, "b": 40.0}


def test_a_heartbeat_by_a_clock_that_stepped_forward_lasts_no_longer() -> None:
    key = Key()
    key.visit("a", joins="a1")
    key.state.heartbeats["a"] += 300.0
    key.pass_by(HEARTBEAT + OWNER_TTL, "b")
    assert list(key.state.heartbeats) == ["b"]


def test_an_owner_that_does_not_report_after_a_loss_keeps_everything_that_was_free() -> None:
    key = Key(4)
    key.visit("a", joins="a1")
    key.visit("b", joins="b1")
    key.state = key.new_state()
    key.now += HEARTBEAT
    waits = OWNER_TTL + OWNER_TTL + TIMEOUT + HOLD - HEARTBEAT
    assert key.visit("b", joins="b2").gate_closed_for == waits
    key.pass_by(waits - 0.01, "b")
    assert key.visit("b").granted == ["b1"]
    key.now += 0.01
    assert key.visit("b").granted == ["b1", "b2"]


def test_the_pause_the_share_the_burst_and_the_pace_survive_a_loss() -> None:
    key = Key(60)
    key.limits = key.state.limits = [Limit(60, HOLD, burst_shape(60, 60.0, 2))]
    used_up(key)
    key.visit("a", Outcome("t59", "refused", 10.0))
    before = key.visit("a", joins="waits")
    key.now += HEARTBEAT
    key.state = key.new_state()
    after = key.visit("a")
    assert (after.limits, after.half_open) == (before.limits, True)
    assert after.gate_closed_for == before.gate_closed_for - HEARTBEAT
    assert key.state.tats[0] > key.now - 60.0
    assert key.state.paced_until > key.now


@pytest.mark.parametrize("step", [5.0, 3600.0])
def test_a_clock_that_steps_forward_returns_no_slot_early(step: float) -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    key.visit("a", Outcome("a1", "answered"), joins="a2")
    read_at = key.now + HEARTBEAT
    moment = Moment(read_at + step, read_at, read_at)
    result = sync(key.state, key.told("a"), moment)
    assert result.response.seconds_until_free == [[HOLD - HEARTBEAT]]
    assert result.changed, "the others must learn the right time"


def test_a_newcomer_gives_those_who_know_better_the_time_to_correct_the_clock() -> None:
    key = Key(1)
    key.visit("a", joins="a1")
    key.visit("a", Outcome("a1", "answered"))
    began = key.now
    newcomer = SyncRequest("b", "b", key.limits, TIMEOUT, joins=[Join("b1", bulk=False)])
    later = Moment(began + 3600.0, 77.0, 77.0)
    assert sync(key.state, newcomer, later).response.granted == []
    read_at = began + HEARTBEAT
    sync(key.state, key.told("a"), Moment(began + 3600.0 + HEARTBEAT, read_at, read_at))
    assert key.state.now == read_at


def test_what_is_on_the_wire_is_taken_up_again() -> None:
    key = Key(1)
    assert key.visit("a", held="a1").leases_held == 1
    assert key.visit("b", joins="b1").granted == []
    assert key.visit("a", Outcome("a1", "answered"), held="a1").leases_held == 0


# ------------------------------------------------------------------------ strangers on the key


def used_up(key: Key) -> None:
    """A window later: all slots are taken, half of them on the wire."""
    key.now += 2 * HOLD
    calls = key.limits[0].calls
    tickets = [f"t{n}" for n in range(calls)]
    key.visit("a", joins=" ".join(tickets))
    key.visit("a", *[Outcome(t, "answered") for t in tickets[: calls // 2]])


def test_after_a_429_the_window_becomes_what_the_server_let_through() -> None:
    key = Key(60)
    used_up(key)
    refused = [Outcome(f"t{n}", "refused", 10.0) for n in range(40, 60)]
    assert key.visit("a", refused[0]).limits == [59]
    assert key.visit("a", *refused[1:]).limits == [40]


def test_it_grows_again_ever_faster_and_waits_twice_as_long_after_each_429() -> None:
    key = Key(60)
    used_up(key)
    key.visit("a", *[Outcome(f"t{n}", "refused", 10.0) for n in range(40, 60)])
    key.visit("a", *[Outcome(f"t{n}", "answered") for n in range(30, 40)])
    key.now += 10.0 + HOLD
    assert key.visit("a").limits == [41]
    key.now += HOLD
    assert key.visit("a").limits == [43]
    assert key.visit("a", joins="opener").granted == ["opener"]
    key.visit("a", Outcome("opener", "answered"), joins="u1 u2 u3")
    assert key.visit("a", Outcome("u3", "refused", 10.0)).limits == [21]  # half, though it let 3
    key.visit("a", Outcome("u1", "answered"), Outcome("u2", "answered"))
    key.now += 10.0 + 2 * HOLD - 1.0
    assert key.visit("a").limits == [21]
    key.now += 1.0
    assert key.visit("a").limits == [22]
    key.now += 5 * HOLD
    assert key.visit("a").limits == [60]


def test_a_429_in_the_first_window_teaches_nothing_for_nobody_knows_what_went_before() -> None:
    key = Key(60)
    key.visit("a", joins="a1 a2 a3")
    told = Outcome("a1", "answered"), Outcome("a2", "refused", 10.0)
    assert key.visit("a", *told).limits == [60]


def test_a_call_that_leaves_in_the_pause_teaches_something_only_if_it_had_a_slot() -> None:
    key = Key(60)
    used_up(key)
    assert key.visit("a", Outcome("t59", "refused", 10.0)).limits == [59]
    key.visit("a", joins="waits")
    assert key.visit("a", leaves="waits").limits == [59]
    assert key.visit("a", leaves="t58").limits == [58]


def test_nor_does_an_opener_that_leaves_teach_anything() -> None:
    key = Key(60)
    used_up(key)
    sent = [Outcome(f"t{n}", "answered") for n in range(30, 59)]
    assert key.visit("a", Outcome("t59", "refused", 10.0), *sent).limits == [59]
    key.now += 10.0 + HOLD - 1.0
    assert key.visit("a", joins="opener").probe == "opener"
    assert key.visit("a", leaves="opener").limits == [59]


def test_a_429_where_nothing_was_let_through_teaches_nothing() -> None:
    key = Key(60)
    key.now += 2 * HOLD
    assert key.refused("a", "a1", 10.0).limits == [60]


def test_what_the_server_has_left_lowers_the_budget_and_never_raises_it() -> None:
    key = Key(10)
    key.visit("a", joins="a1 a2 a3")
    assert key.visit("a", Outcome("a1", "answered", 0.0, 99)).seconds_until_free[0].count(0.0) == 7
    assert key.visit("a", Outcome("a2", "answered", 0.0, 7)).seconds_until_free[0].count(0.0) == 7
    assert key.visit("a", Outcome("a3", "answered", 0.0, 2)).seconds_until_free[0].count(0.0) == 2
    key.now += HOLD
    assert key.visit("a").seconds_until_free == [[0.0] * 10]


def test_what_the_server_counted_for_others_counts_from_the_answer_that_told_it() -> None:
    key = Key(3)
    key.visit("a", joins="a1")
    key.now += 10.0
    assert key.visit("a", Outcome("a1", "answered", 4.0, 1)).seconds_until_free == [
        [0.0, HOLD - 4.0, HOLD - 4.0]
    ]


def test_one_answer_that_leaves_little_is_believed_when_the_next_says_the_same() -> None:
    key = Key(20)
    key.visit("a", joins="a1 a2 a3")
    first = key.visit("a", Outcome("a1", "answered", 0.0, 0))
    assert (first.seconds_until_free[0].count(0.0), first.foreign_booked) == (17, 0)
    second = key.visit("a", Outcome("a2", "answered", 0.0, 0))
    assert (second.seconds_until_free[0].count(0.0), second.foreign_booked) == (0, 17)
