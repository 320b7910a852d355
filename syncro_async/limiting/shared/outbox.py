"""What a process has to tell a shared budget: collected between visits, told until heard."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable

from syncro_async.limiting.protocol import (
    LATE_ARRIVAL_GRACE,
    Answered,
    SlotOutcome,
    Throttled,
    Unknown,
)
from syncro_async.limiting.shared.messages import Join, Limit, Outcome, SyncRequest

# The epoch of no store.
_NO_EPOCH = "never seen"


class Outbox:
    """Makes the visits of one owner, and forgets what was told once a visit was answered.

    It also remembers which slots it had answers for while they count, because the store may
    forget: then `know_anew` has everything told again.
    """

    def __init__(self, limits: list[Limit], timeout: float) -> None:
        self.owner = uuid.uuid4().hex
        self._limits = limits
        self._longest = max(limit.hold_seconds for limit in limits)
        self._timeout = timeout
        self._numbers = itertools.count()
        self._joins: dict[str, Join] = {}
        self._leaves: dict[str, None] = {}
        self._held: dict[str, None] = {}
        self._outcomes: dict[str, tuple[SlotOutcome, float]] = {}
        self._counted: dict[str, tuple[SlotOutcome, float]] = {}
        self._epoch = ""
        self._uncertain = False

    def __bool__(self) -> bool:
        return bool(self._joins or self._leaves or self._held or self._outcomes)

    def new_lease_id(self) -> str:
        """A name for one turn in the queue and the slot it leads to; never given twice."""
        return f"{self.owner}:{next(self._numbers)}"

    def add_join(self, join: Join) -> None:
        """A call waits; one that is told of anew comes after all who were told of before."""
        self._joins.pop(join.lease_id, None)
        self._joins[join.lease_id] = join

    def add_leave(self, ticket: str) -> None:
        """A call wants no turn any more, or no slot."""
        self._joins.pop(ticket, None)
        self._leaves[ticket] = None

    def add_held(self, ticket: str) -> None:
        """A slot is on the wire that the store may not know of."""
        self._held[ticket] = None

    def add_outcome(self, ticket: str, outcome: SlotOutcome, now: float) -> None:
        """What became of a slot; `now` is when that is noted (monotonic s)."""
        self._held.pop(ticket, None)
        self._outcomes[ticket] = outcome, now
        if isinstance(outcome, Answered | Unknown):
            self._counted[ticket] = outcome, now

    def is_to_join(self, ticket: str) -> bool:
        """Whether the store has yet to hear of that call."""
        return ticket in self._joins

    def is_over(self, ticket: str) -> bool:
        """Whether the store has yet to hear that this slot is used or not wanted."""
        return ticket in self._outcomes or ticket in self._leaves

    @property
    def has_throttled(self) -> bool:
        """Whether the store has yet to hear of a 429."""
        return any(isinstance(outcome, Throttled) for outcome, _ in self._outcomes.values())

    @property
    def joining(self) -> int:
        """How many calls wait that the store has yet to hear of."""
        return len(self._joins)

    def build_request(self, now: float, *, busy: bool) -> SyncRequest:
        """Everything that is to be told, as it is now; `busy`: it knew of calls of ours."""
        self._forget(now)
        # Else nothing is known that could be missing in the store.
        doubts = self._counted or busy or self._uncertain
        return SyncRequest(
            owner=self.owner,
            name=self.new_lease_id(),
            epoch=self._epoch if doubts else "",
            limits=self._limits,
            timeout=self._timeout,
            held=list(self._held),
            joins=list(self._joins.values()),
            leaves=list(self._leaves),
            outcomes=[
                _settled(ticket, outcome, noted_at, now)
                for ticket, (outcome, noted_at) in self._outcomes.items()
            ],
        )

    def acknowledge(self, visit: SyncRequest, epoch: str) -> bool:
        """A visit was answered. False when the store has forgotten what was told it before."""
        for join in visit.joins:
            self._joins.pop(join.lease_id, None)
        for ticket in visit.leaves:
            self._leaves.pop(ticket, None)
        for ticket in visit.held:
            self._held.pop(ticket, None)
        for settled in visit.outcomes:
            self._outcomes.pop(settled.lease_id, None)
        self._epoch, self._uncertain = epoch, False
        return visit.epoch in {"", epoch}

    def mark_uncertain(self) -> None:
        """The store is out of reach for long.

        It may be empty when it is back, and others may have sent what they have yet to tell it,
        even if nothing is known here that it could have forgotten.
        """
        self._uncertain = True
        self._epoch = self._epoch or _NO_EPOCH

    def resend_all(self, flying: Iterable[str]) -> None:
        """The store has forgotten everything: tell it what still counts, and what is flying."""
        self._outcomes = {**self._counted, **self._outcomes}
        self._held.update(dict.fromkeys(flying))

    def answered(self) -> list[float]:
        """When each slot was answered for that may still count (monotonic s)."""
        return [_counts_from(outcome, noted_at) for outcome, noted_at in self._counted.values()]

    def _forget(self, now: float) -> None:
        """What is older than the longest window matters to nobody."""
        since = now - self._longest
        for known in (self._counted, self._outcomes):
            for ticket in [
                t for t, (outcome, at) in known.items() if _counts_from(outcome, at) < since
            ]:
                del known[ticket]


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


def _settled(ticket: str, outcome: SlotOutcome, noted_at: float, now: float) -> Outcome:
    match outcome:
        case Answered(at, left):
            return Outcome(ticket, "answered", now - at, -1 if left is None else left)
        case Unknown():
            return Outcome(ticket, "lost", now - noted_at)
        case Throttled(pause):
            return Outcome(ticket, "refused", max(0.0, noted_at + pause - now))
        case _:
            return Outcome(ticket, "back")
