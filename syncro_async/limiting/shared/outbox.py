"""Collects what a process has to report to the shared budget, until the store acknowledges it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from syncro_async.limiting.budget.messages import (
    Join,
    Limit,
    Outcome,
    Seen,
    SyncRequest,
    SyncResponse,
)
from syncro_async.limiting.protocol import (
    LATE_ARRIVAL_GRACE,
    Answered,
    SlotOutcome,
    Throttled,
    Unknown,
)


class Outbox:
    """The unacknowledged reports of one owner, and the requests that carry them.

    It also keeps every outcome whose slot still counts. When the store has lost its state,
    `resend_all` puts these outcomes into the next request again.
    """

    def __init__(
        self, limits: list[Limit], timeout: float, *, new_state_pause: float = 0.0
    ) -> None:
        self.owner = uuid.uuid4().hex
        self._limits = limits
        self._longest = max(limit.hold_seconds for limit in limits)
        self._timeout = timeout
        self._lease_count = 0
        self._joins: dict[str, Join] = {}
        self._leaves: dict[str, None] = {}
        self._held: dict[str, None] = {}
        self._outcomes: dict[str, tuple[SlotOutcome, float]] = {}
        self._counted: dict[str, tuple[SlotOutcome, float]] = {}
        self._new_state_pause = new_state_pause
        self._seen: Seen | None = None
        self._after_outage = False
        # Whether the store has a heartbeat of this process.
        self.is_registered = False

    def __bool__(self) -> bool:
        return bool(self._joins or self._leaves or self._held or self._outcomes)

    def new_lease_id(self) -> str:
        """A new name for one turn in the queue and for the slot that it leads to."""
        self._lease_count += 1
        return f"{self.owner}:{self._lease_count}"

    def add_join(self, join: Join) -> None:
        """Report a waiting call; a call that is added again goes behind all others."""
        self._joins.pop(join.lease_id, None)
        self._joins[join.lease_id] = join

    def add_leave(self, lease_id: str) -> None:
        """Report that a call has left the queue, or does not use its slot."""
        self._joins.pop(lease_id, None)
        self._leaves[lease_id] = None

    def add_held(self, lease_id: str) -> None:
        """Report a slot in flight that the store may not have."""
        self._held[lease_id] = None

    def add_outcome(self, lease_id: str, outcome: SlotOutcome, now: float) -> None:
        """Report the outcome of a slot, recorded at `now` (monotonic s)."""
        self._held.pop(lease_id, None)
        self._outcomes[lease_id] = outcome, now
        if isinstance(outcome, Answered | Unknown):
            self._counted[lease_id] = outcome, now

    def is_to_join(self, lease_id: str) -> bool:
        """Whether the join of that call is not acknowledged yet."""
        return lease_id in self._joins

    def is_over(self, lease_id: str) -> bool:
        """Whether the end of that slot is not acknowledged yet."""
        return lease_id in self._outcomes or lease_id in self._leaves

    @property
    def has_throttled(self) -> bool:
        """Whether a 429 is not acknowledged yet."""
        return any(isinstance(outcome, Throttled) for outcome, _ in self._outcomes.values())

    @property
    def joining(self) -> int:
        """The number of joins that are not acknowledged yet."""
        return len(self._joins)

    def counts(self, now: float) -> bool:
        """Whether a slot of this process still counts at `now` (monotonic s)."""
        self._forget(now)
        return bool(self._counted)

    def build_request(self, now: float, *, busy: bool, closes: bool = False) -> SyncRequest:
        """A request with everything that is not acknowledged at `now`.

        `busy`: the store has calls of this process. `closes`: it is the last request for now.
        """
        # Without slots that count, a store that lost its state lacks nothing of this process.
        matters = self.counts(now) or busy
        return SyncRequest(
            owner=self.owner,
            name=self.new_lease_id(),
            limits=self._limits,
            timeout=self._timeout,
            seen=self._seen if matters else None,
            held=list(self._held),
            joins=list(self._joins.values()),
            leaves=list(self._leaves),
            outcomes=[
                _settled(lease_id, outcome, noted_at, now)
                for lease_id, (outcome, noted_at) in self._outcomes.items()
            ],
            new_state_pause=self._new_state_pause,
            closes=closes,
            after_outage=self._after_outage,
        )

    def acknowledge(self, request: SyncRequest, response: SyncResponse) -> bool:
        """Remove what an answered request carried. False when the store lost its state since."""
        for join in request.joins:
            self._joins.pop(join.lease_id, None)
        for lease_id in request.leaves:
            self._leaves.pop(lease_id, None)
        for lease_id in request.held:
            self._held.pop(lease_id, None)
        for settled in request.outcomes:
            self._outcomes.pop(settled.lease_id, None)
        self._seen, self.is_registered = response.seen, not request.closes
        self._after_outage = False
        return request.seen is None or request.seen.epoch == response.epoch

    def note_outage(self) -> None:
        """Record that the store has been out of reach for long."""
        self._after_outage = True

    def resend_all(self, in_flight: Iterable[str]) -> None:
        """Report everything again to a store that lost its state.

        `in_flight`: the lease ids of the slots in flight.
        """
        self._outcomes = {**self._counted, **self._outcomes}
        self._held.update(dict.fromkeys(in_flight))

    def answered(self) -> list[float]:
        """The times (monotonic s) of the answers that may still count."""
        return [_counts_from(outcome, noted_at) for outcome, noted_at in self._counted.values()]

    def _forget(self, now: float) -> None:
        """Drop what is older than the longest window."""
        since = now - self._longest
        for known in (self._counted, self._outcomes):
            for lease_id in [
                t for t, (outcome, at) in known.items() if _counts_from(outcome, at) < since
            ]:
                del known[lease_id]


def _counts_from(outcome: SlotOutcome, noted_at: float) -> float:
    match outcome:
        case Answered(at):
            return at
        case Unknown():
            return noted_at + LATE_ARRIVAL_GRACE
        case Throttled(pause):
            return noted_at + pause
        case _:
            return noted_at


def _settled(lease_id: str, outcome: SlotOutcome, noted_at: float, now: float) -> Outcome:
    match outcome:
        case Answered(at, left):
            return Outcome(lease_id, "answered", now - at, -1 if left is None else left)
        case Unknown():
            return Outcome(lease_id, "lost", now - noted_at)
        case Throttled(pause):
            return Outcome(lease_id, "refused", max(0.0, noted_at + pause - now))
        case _:
            return Outcome(lease_id, "back")
