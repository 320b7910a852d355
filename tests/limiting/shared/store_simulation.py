"""Processes that share a key, a server that counts, and everything that goes wrong between them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from hypothesis import strategies as st

from syncro_async.limiting.budget.messages import Join, Limit, Outcome, SyncRequest, SyncResponse
from syncro_async.limiting.budget.state import HEARTBEAT, OWNER_TTL, BudgetState, QueueEntry
from syncro_async.limiting.budget.store_time import Moment
from syncro_async.limiting.budget.sync import state_for, sync
from syncro_async.limiting.protocol import LATE_ARRIVAL_GRACE

TIMEOUT = 3.0
ROUNDING = 1e-5
Fate = Literal["back", "answered", "lost", "refused"]


@dataclass(frozen=True)
class Step:
    """What happens after `after` seconds, while the store's clock also jumps back by `jump`.

    Process `who` has `joins` more calls (in a lane; `first`: refused ones come back), gives up
    its waiting call number `leaves`, and its request number `ends` meets with `fate`, the server
    saying that it would count `left` more. `answer`:
    the store's answer is heard, is lost, or the visit itself comes only with the next step.
    """

    who: int
    after: float
    jump: float
    joins: int
    bulk: bool
    first: bool
    leaves: int | None
    ends: int | None
    fate: Fate
    seconds: float
    left: int
    answer: Literal["heard", "lost", "late"]
    dies: bool


def steps(*, longest: int = 40) -> st.SearchStrategy[list[Step]]:
    some = st.one_of(st.none(), st.integers(0, 9))
    return st.lists(
        st.builds(
            Step,
            who=st.integers(0, 2),
            after=st.one_of(st.sampled_from([0.0, 0.5, 1.9, 2.1]), st.floats(0.0, 9.0)),
            jump=st.one_of(st.just(0.0), st.just(0.0), st.floats(0.0, 300.0)),
            joins=st.integers(0, 4),
            bulk=st.booleans(),
            first=st.sampled_from([False, False, False, True]),
            leaves=some,
            ends=some,
            fate=st.sampled_from(["answered", "answered", "answered", "back", "lost", "refused"]),
            seconds=st.floats(0.0, 3.0),
            left=st.sampled_from([-1, -1, -1, 0, 2, 5]),
            answer=st.sampled_from(["heard", "heard", "heard", "lost", "late"]),
            dies=st.sampled_from([False] * 9 + [True]),
        ),
        min_size=longest // 4,
        max_size=longest,
    )


limits = st.lists(
    st.builds(Limit, st.integers(1, 6), st.sampled_from([0.5, 4.25, 7.1])), min_size=1, max_size=2
)


@dataclass
class Process:
    """Does what a visitor has to do, and no more than that."""

    owner: str
    waiting: dict[str, Join] = field(default_factory=dict)
    flying: set[str] = field(default_factory=set)
    joins: list[Join] = field(default_factory=list)
    leaves: list[str] = field(default_factory=list)
    # By ticket: its fate, when that was, the pause, and what the server had left.
    ended: dict[str, tuple[Fate, float, float, int]] = field(default_factory=dict)
    visits: Iterator[int] = field(default_factory=itertools.count)

    def visit(self, limits: list[Limit], now: float) -> SyncRequest:
        return SyncRequest(
            owner=self.owner,
            name=f"{self.owner}/{next(self.visits)}",
            limits=limits,
            timeout=TIMEOUT,
            joins=self.joins[:],
            leaves=self.leaves[:],
            outcomes=[
                Outcome(ticket, fate, pause if fate == "refused" else now - at, left)
                for ticket, (fate, at, pause, left) in self.ended.items()
            ],
        )

    def hear(self, ruling: SyncResponse) -> list[str]:
        """Learn what is to be done; the calls that are sent now."""
        self.joins, self.leaves, self.ended = [], [], {}
        sent = [ticket for ticket in ruling.granted if ticket in self.waiting]
        unknown = {*ruling.granted, *ruling.positions} - self.waiting.keys() - self.flying
        self.leaves.extend(sorted(unknown))
        for ticket in sent:
            del self.waiting[ticket]
        self.flying.update(sent)
        self.joins.extend(self.waiting[t] for t in self.waiting if t not in ruling.positions)
        return sent


class World:
    """Three processes, one key, a clock that jumps back, and the time as it really is."""

    def __init__(self, limits: list[Limit]) -> None:
        self.limits = limits
        self.now, self.behind = 1_750_000_000.0, 0.0
        self.state: BudgetState | None = None
        self.processes = [Process(f"p{number}") for number in range(3)]
        self.dead: set[str] = set()
        self.numbers = itertools.count()
        self.late: list[SyncRequest] = []
        self.sent: dict[str, float] = {}
        # Until when each request may arrive at the server, once it has ended.
        self.arrives_until: dict[str, float] = {}
        self.overdue: dict[str, float] = {}
        self.came: dict[str, float] = {}
        self.granted = 0

    def live(self, plan: list[Step]) -> None:
        for step in plan:
            self.now += step.after
            self.behind += step.jump
            late, self.late = self.late, []
            process = self.processes[step.who]
            if process.owner not in self.dead:
                self._act(process, step)
                self._visit(process, step.answer)
            for visit in late:
                self._attend(visit)
            if step.dies and len(self.dead) < 2:
                self.dead.add(process.owner)

    def calm_down(self) -> None:
        """From now on everything goes well: every waiting call has to be sent, and soon."""
        alive = [process for process in self.processes if process.owner not in self.dead]
        longest = max(limit.hold_seconds for limit in self.limits)
        waiting = sum(len(process.waiting) for process in alive)
        # Its pause, what the dead leave behind, and then all of them one by one.
        max_wait = self.now + 9.0 + TIMEOUT + (LATE_ARRIVAL_GRACE + longest + 4.0) * (waiting + 3)
        while any(process.waiting or process.flying for process in alive):
            assert self.now < max_wait, "stuck"
            self.now += HEARTBEAT
            for process in alive:
                for ticket in sorted(process.flying):
                    self._end(process, ticket, "answered", 0.0, -1)
                self._visit(process, "heard")

    def _act(self, process: Process, step: Step) -> None:
        for _ in range(step.joins):
            ticket = f"{process.owner}:{next(self.numbers)}"
            process.waiting[ticket] = Join(ticket, step.bulk, step.first)
            process.joins.append(process.waiting[ticket])
        if step.leaves is not None and step.leaves < len(process.waiting):
            gone = list(process.waiting)[step.leaves]
            del process.waiting[gone]
            process.leaves.append(gone)
        if step.ends is not None and step.ends < len(process.flying):
            ticket = sorted(process.flying)[step.ends]
            self._end(process, ticket, step.fate, step.seconds, step.left)

    def _end(self, process: Process, ticket: str, fate: Fate, pause: float, left: int) -> None:
        process.flying.discard(ticket)
        process.ended[ticket] = fate, self.now, pause, left
        if fate in {"back", "refused"}:
            del self.sent[ticket]
        else:
            self.arrives_until[ticket] = self.now + (LATE_ARRIVAL_GRACE if fate == "lost" else 0.0)

    def _visit(self, process: Process, answer: str) -> None:
        visit = process.visit(self.limits, self.now)
        if answer != "heard":
            process.joins = list(process.waiting.values())
        if answer == "late":
            self.late.append(visit)
            return
        self._overdue_if_silent(process)
        self.came[process.owner] = self.now
        ruling = self._attend(visit)
        if answer == "heard":
            self.sent.update(dict.fromkeys(process.hear(ruling), self.now))
            for limit in self.limits:
                counted = [
                    at for at in self._arrivals() if at > self.now - limit.hold_seconds + ROUNDING
                ]
                assert len(counted) <= limit.calls, "more than the server allows"

    def _arrivals(self) -> list[float]:
        """When each request that was sent arrives at the latest, as far as anybody knows."""
        for process in self.processes:
            self._overdue_if_silent(process)
        return [
            min(self.arrives_until.get(ticket, math.inf), self.overdue.get(ticket, math.inf))
            for ticket in self.sent
        ]

    def _overdue_if_silent(self, process: Process) -> None:
        """Of a process that is taken to be dead, no request lasts longer than the timeout."""
        if self.now - self.came.get(process.owner, self.now) >= OWNER_TTL:
            for ticket in (*process.flying, *process.ended):
                if ticket in self.sent:
                    self.overdue[ticket] = self.sent[ticket] + TIMEOUT

    def _attend(self, visit: SyncRequest) -> SyncResponse:
        clock = self.now - self.behind
        state = self.state = state_for(self.state, visit, clock)
        before = msgspec.convert(msgspec.to_builtins(state), BudgetState)
        ruling = sync(state, visit, Moment.at(clock)).response
        for lane in ("interactive", "bulk"):
            self._check_lane(lane, before, state, visit)
        self.granted += len(state.leases.keys() - before.leases.keys())
        return ruling

    def _check_lane(
        self, lane: str, before: BudgetState, after: BudgetState, visit: SyncRequest
    ) -> None:
        """First come, first served: nobody of the same process overtakes in its lane."""
        places: list[QueueEntry] = getattr(after, lane)
        assert [place.requeued for place in places] == sorted(
            (p.requeued for p in places), reverse=True
        )
        stood = [place.lease_id for place in getattr(before, lane) if place.owner == visit.owner]
        own = [ticket for ticket in stood if ticket not in visit.leaves]
        stay = {place.lease_id for place in places}
        if any(join.requeued for join in visit.joins):
            return
        went = [ticket in after.leases for ticket in own if ticket in {*stay, *after.leases}]
        assert went == sorted(went, reverse=True)
