"""What a process has to tell a shared budget: collected between visits, told until heard."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable

from syncro_async.limiting.limiter import LATE_ARRIVAL, Answered, Fate, Lost, Refused
from syncro_async.limiting.shared.visits import Join, Limit, Settled, Visit

# The epoch of no store.
_NEVER_SEEN = "never seen"


class News:
    """Makes the visits of one owner, and forgets what was told once a visit was answered.

    It also remembers which slots it had answers for while they count, because the store may
    forget: then `know_anew` has everything told again.
    """

    def __init__(self, limits: list[Limit], timeout: float) -> None:
        self.owner = uuid.uuid4().hex
        self._limits = limits
        self._longest = max(limit.hold for limit in limits)
        self._timeout = timeout
        self._numbers = itertools.count()
        self._joins: dict[str, Join] = {}
        self._leaves: dict[str, None] = {}
        self._flies: dict[str, None] = {}
        self._settled: dict[str, tuple[Fate, float]] = {}
        self._counted: dict[str, tuple[Fate, float]] = {}
        self._epoch = ""
        self._lost_track = False

    def __bool__(self) -> bool:
        return bool(self._joins or self._leaves or self._flies or self._settled)

    def ticket(self) -> str:
        """A name for one turn in the queue and the slot it leads to; never given twice."""
        return f"{self.owner}:{next(self._numbers)}"

    def joins(self, join: Join) -> None:
        """A call waits; one that is told of anew comes after all who were told of before."""
        self._joins.pop(join.ticket, None)
        self._joins[join.ticket] = join

    def leaves(self, ticket: str) -> None:
        """A call wants no turn any more, or no slot."""
        self._joins.pop(ticket, None)
        self._leaves[ticket] = None

    def flies(self, ticket: str) -> None:
        """A slot is on the wire that the store may not know of."""
        self._flies[ticket] = None

    def settled(self, ticket: str, fate: Fate, now: float) -> None:
        """What became of a slot; `now` is when that is noted (monotonic s)."""
        self._flies.pop(ticket, None)
        self._settled[ticket] = fate, now
        if isinstance(fate, Answered | Lost):
            self._counted[ticket] = fate, now

    def is_to_join(self, ticket: str) -> bool:
        """Whether the store has yet to hear of that call."""
        return ticket in self._joins

    def is_over(self, ticket: str) -> bool:
        """Whether the store has yet to hear that this slot is used or not wanted."""
        return ticket in self._settled or ticket in self._leaves

    @property
    def has_refusal(self) -> bool:
        """Whether the store has yet to hear of a 429."""
        return any(isinstance(fate, Refused) for fate, _ in self._settled.values())

    @property
    def joining(self) -> int:
        """How many calls wait that the store has yet to hear of."""
        return len(self._joins)

    def visit(self, now: float, *, busy: bool) -> Visit:
        """Everything that is to be told, as it is now; `busy`: it knew of calls of ours."""
        self._forget(now)
        # Else nothing is known that could be missing in the store.
        doubts = self._counted or busy or self._lost_track
        return Visit(
            owner=self.owner,
            name=self.ticket(),
            epoch=self._epoch if doubts else "",
            limits=self._limits,
            timeout=self._timeout,
            flies=list(self._flies),
            joins=list(self._joins.values()),
            leaves=list(self._leaves),
            settled=[
                _settled(ticket, fate, noted_at, now)
                for ticket, (fate, noted_at) in self._settled.items()
            ],
        )

    def told(self, visit: Visit, epoch: str) -> bool:
        """A visit was answered. False when the store has forgotten what was told it before."""
        for join in visit.joins:
            self._joins.pop(join.ticket, None)
        for ticket in visit.leaves:
            self._leaves.pop(ticket, None)
        for ticket in visit.flies:
            self._flies.pop(ticket, None)
        for settled in visit.settled:
            self._settled.pop(settled.ticket, None)
        self._epoch, self._lost_track = epoch, False
        return visit.epoch in {"", epoch}

    def lose_track(self) -> None:
        """The store is out of reach for long.

        It may be empty when it is back, and others may have sent what they have yet to tell it,
        even if nothing is known here that it could have forgotten.
        """
        self._lost_track = True
        self._epoch = self._epoch or _NEVER_SEEN

    def tell_again(self, flying: Iterable[str]) -> None:
        """The store has forgotten everything: tell it what still counts, and what is flying."""
        self._settled = {**self._counted, **self._settled}
        self._flies.update(dict.fromkeys(flying))

    def answered(self) -> list[float]:
        """When each slot was answered for that may still count (monotonic s)."""
        return [_counts_from(fate, noted_at) for fate, noted_at in self._counted.values()]

    def _forget(self, now: float) -> None:
        """What is older than the longest window matters to nobody."""
        since = now - self._longest
        for known in (self._counted, self._settled):
            for ticket in [t for t, (fate, at) in known.items() if _counts_from(fate, at) < since]:
                del known[ticket]


def _counts_from(fate: Fate, noted_at: float) -> float:
    match fate:
        case Answered(at):
            return at
        case Lost():
            return noted_at + LATE_ARRIVAL
        case Refused(pause):
            return noted_at + pause
        case _:
            return noted_at


def _settled(ticket: str, fate: Fate, noted_at: float, now: float) -> Settled:
    match fate:
        case Answered(at, left):
            return Settled(ticket, "answered", now - at, -1 if left is None else left)
        case Lost():
            return Settled(ticket, "lost", now - noted_at)
        case Refused(pause):
            return Settled(ticket, "refused", max(0.0, noted_at + pause - now))
        case _:
            return Settled(ticket, "back")
