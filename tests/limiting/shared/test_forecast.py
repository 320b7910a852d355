"""What a ruling says about the time after it."""

from __future__ import annotations

import msgspec
import pytest

from syncro_async.limiting.budget.messages import Limit, SyncResponse
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
