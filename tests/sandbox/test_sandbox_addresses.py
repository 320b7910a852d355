"""Upserts find their lead among many as they would by looking at each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncro_async.sandbox.addresses import Addresses
from syncro_async.sandbox.record import LeadRecord

ADDRESSES = st.sampled_from(["a@x", "b@x", None])
STEPS = st.one_of(
    st.tuples(st.just("new"), ADDRESSES, st.integers(1, 9)),
    st.tuples(st.just("gone"), ADDRESSES, st.integers(1, 9)),
    st.tuples(st.just("moved"), ADDRESSES, st.integers(1, 9)),
    st.tuples(st.just("asked"), ADDRESSES, st.integers(1, 9)),
)


@given(st.lists(STEPS, max_size=40))
def test_the_oldest_is_found_whatever_came_went_or_moved(
    steps: list[tuple[str, str | None, int]],
) -> None:
    leads: dict[int, LeadRecord] = {}
    addresses = Addresses(leads)
    for number, (what, address, lead_id) in enumerate(steps, start=1):
        if what == "new":
            leads[number] = LeadRecord({"id": number, "email": address, "phone": None})
        elif what == "gone":
            leads.pop(lead_id, None)
        elif what == "moved" and lead_id in leads:
            leads[lead_id]["email"] = address
        elif address is not None:
            by_hand = next((lead for lead in leads.values() if lead["email"] == address), None)
            assert addresses.oldest("email", address) is by_hand
            assert addresses.oldest("phone", address) is None
