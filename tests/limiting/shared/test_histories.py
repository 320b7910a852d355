"""The shared budget through histories of synchronisations."""

from __future__ import annotations

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from syncro_async.limiting.budget.lane_order import INTERACTIVE_IN_A_ROW
from syncro_async.limiting.budget.messages import Limit, SyncRequest
from syncro_async.limiting.budget.state import BudgetState, QueueEntry, in_order
from syncro_async.limiting.budget.store_time import Moment
from syncro_async.limiting.budget.sync import sync
from tests.limiting.shared.store_simulation import Step, World, limits, steps


def through(world: World, plan: list[Step]) -> None:
    world.live(plan)
    event(f"some died: {bool(world.dead)}")
    event(f"some were granted: {world.granted > 0}")
    world.calm_down()


@given(limits, steps())
@settings(max_examples=100, deadline=None)
def test_never_above_quota_never_overtaken_and_never_stuck_whatever_happens(
    limits: list[Limit], plan: list[Step]
) -> None:
    through(World(limits), plan)


# ------------------------------------------------------------------------------------ the lanes

owners = st.sampled_from(["a", "b", "c"])
lane = st.one_of(st.lists(owners, max_size=5), st.lists(owners, min_size=10, max_size=25))


def queued(interactive: list[str], bulk: list[str], in_a_row: int, calls: int) -> BudgetState:
    return BudgetState(
        limits=[Limit(calls, 1.0)],
        epoch="e",
        clock=10.0,
        now=10.0,
        created_at=10.0,
        interactive=[
            QueueEntry(f"i{n}", owner, requeued=False) for n, owner in enumerate(interactive)
        ],
        bulk=[QueueEntry(f"b{n}", owner, requeued=False) for n, owner in enumerate(bulk)],
        heartbeats={"a": 10.0, "b": 10.0, "c": 10.0},
        lane_debt=in_a_row,
    )


@given(lane, lane, st.integers(0, INTERACTIVE_IN_A_ROW), st.integers(1, 30), st.lists(owners))
@example(["a"] * 9, ["b"] * 2, 0, 10, ["a", "a"])  # eight go early, and bulk is owed two turns
@example(["a"] * 9, ["b"] * 9, 0, 9, ["b", "b"])  # bulk goes early
def test_whoever_comes_early_takes_nobodys_turn(
    interactive: list[str], bulk: list[str], in_a_row: int, calls: int, visitors: list[str]
) -> None:
    state = queued(interactive, bulk, in_a_row, calls)
    due = {place.lease_id for place, _ in list(in_order(state))[:calls]}
    for owner in [*visitors, "a", "b", "c"]:
        sync(state, SyncRequest(owner, "v", state.limits, 1.0), Moment.at(10.0))
        assert state.leases.keys() <= due
    assert state.leases.keys() == due


@given(lane, st.lists(owners, min_size=1), st.lists(owners))
def test_every_fifth_slot_at_least_is_bulks_while_it_waits(
    interactive: list[str], bulk: list[str], visitors: list[str]
) -> None:
    state = queued(interactive, bulk, 0, 1)
    lanes = ""
    while state.bulk:
        for owner in [*visitors, "a", "b", "c"]:
            sync(state, SyncRequest(owner, "v", state.limits, 1.0), Moment.at(10.0))
        (ticket,) = state.leases
        state.leases.clear()
        lanes += ticket[0]
    assert "iiiii" not in lanes
    assert "bi" not in lanes.replace("iiiib", "")
