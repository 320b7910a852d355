"""What a ruling says about the time after it."""

from __future__ import annotations

import msgspec
import pytest

from syncro_async.limiting.budget.messages import Limit, Seen, SyncResponse
from syncro_async.limiting.shared.forecast import Forecast

PAUSED = SyncResponse(
    epoch="e",
    granted=[],
    positions={},
    seconds_until_free=[[0.0] * 5],
    limits=[5],
    leases_held=0,
    waiting=0,
    waiting_bulk=0,
    gate_closed_for=5.0,
    half_open=True,
    probe="",
)


@pytest.mark.parametrize(
    ("place", "opener", "wait"), [(0, "", 5.0), (0, "x", 7.0), (1, "", 7.0), (1, "x", 7.0)]
)
def test_all_but_the_opener_wait_for_its_answer(place: int, opener: str, wait: float) -> None:
    ruling = msgspec.structs.replace(PAUSED, probe=opener)
    outlook = Forecast(ruling, 1000.0, [Limit(5, 60.25)], latency=2.0)
    assert outlook.wait(place, 1000.0) == wait
    assert outlook.wait(place, 1001.0) == wait - 1.0


def test_strangers_show_in_one_of_several_windows() -> None:
    ruling = msgspec.structs.replace(
        PAUSED, limits=[5, 12], seconds_until_free=[[0.0] * 5, [0.0] * 12]
    )
    outlook = Forecast(ruling, 1000.0, [Limit(5, 1.0), Limit(20, 60.25)], latency=2.0)
    assert outlook.foreign() == 8


@pytest.mark.parametrize(
    ("place", "processes", "asks_at"),
    [(0, 64, 1005.0), (1, 64, 1005.02), (4, 64, 1005.08), (4, 2, 1005.02), (4, 1, 1005.0)],
)
def test_a_process_leaves_those_before_it_the_time_of_a_synchronisation(
    place: int, processes: int, asks_at: float
) -> None:
    alive = [f"p{number}" for number in range(processes)]
    seen = Seen("e", 1, b"", 0.0, alive, b"", asked_at=999.99, heard_at=1000.0)
    response = msgspec.structs.replace(
        PAUSED,
        half_open=False,
        gate_closed_for=0.0,
        seconds_until_free=[[5.0] * 5],
        positions={"mine": place},
        seen=seen,
    )
    outlook = Forecast(response, 1000.0, [Limit(5, 60.25)], latency=2.0)
    assert outlook.next_sync_at() == pytest.approx(asks_at)
    assert outlook.due_at("mine") == 1005.0, "what max_wait is held against does not change"


def test_slots_that_return_one_after_another_leave_the_time_by_themselves() -> None:
    seen = Seen("e", 1, b"", 0.0, ["a", "b", "c"], b"", asked_at=999.99, heard_at=1000.0)
    waiting = {"positions": {"mine": 2}, "seconds_until_free": [[5.0, 5.1, 5.2]]}
    response = msgspec.structs.replace(
        PAUSED, gate_closed_for=0.0, half_open=False, seen=seen, **waiting
    )
    outlook = Forecast(response, 1000.0, [Limit(5, 60.25)], latency=2.0)
    assert outlook.next_sync_at() == pytest.approx(1005.2)


def test_a_process_leaves_the_others_a_quarter_second_at_most() -> None:
    seen = Seen("e", 1, b"", 0.0, [""] * 64, b"", asked_at=999.0, heard_at=1000.0)
    waiting = {"positions": {"mine": 4}, "seconds_until_free": [[5.0] * 5], "half_open": False}
    response = msgspec.structs.replace(PAUSED, gate_closed_for=0.0, seen=seen, **waiting)
    outlook = Forecast(response, 1000.0, [Limit(5, 60.25)], latency=2.0)
    assert outlook.next_sync_at() == 1005.25
