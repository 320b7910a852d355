"""One model for every limiter: the same rules, whoever keeps the budget."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from syncro_async.clock import Clock
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Lane, NotCounted, SlotOutcome, Throttled, Unknown
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.limiter import SharedLimiter
from syncro_async.limiting.shared.redis_store import RedisStore
from syncro_async.limiting.shared.sqlite_store import SqliteStore
from syncro_async.limiting.shared.store import Store
from tests.limiting.limiter_simulation import TIMEOUT, HostClock, Line, Trouble, User, World
from tests.redis_server import PACKAGES, running

# What fails is made smaller and smaller before it is shown.
pytestmark = pytest.mark.timeout(600)

USERS = 3
# Hosts whose clocks differ by five minutes and more.
CLOCKS = (0.0, 301.5, -7200.25)

# Makes the users of a world.
Drags = Literal["at once", "while the store decides", "hearing of its slot"] | None
Population = Callable[[World], list[User]]

drags: st.SearchStrategy[Drags] = st.sampled_from(
    [None, None, "at once", "while the store decides", "hearing of its slot"]
)
which = st.integers(0, 99)
lanes = st.sampled_from(["interactive", "bulk"])
patiences = st.sampled_from([None, None, None, 0.0, 0.5, 3.0, 20.0])
lengths = st.one_of(
    st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.25]), st.integers(0, 9 * 64).map(lambda n: n / 64)
)
limits = st.builds(
    RateLimit,
    st.sampled_from([1, 1, 2, 3, 5]),
    st.sampled_from([0.5, 1.75, 4.0]),
    guard=st.just(0.25),
)


class Rules(RuleBasedStateMachine):
    """What may happen to the calls of one key."""

    def __init__(self, loop: asyncio.AbstractEventLoop, population: Population) -> None:
        super().__init__()
        self.loop = loop
        self.population = population
        self.is_well = True

    def run(self, work: Any) -> None:
        try:
            self.world.run(work)
        except BaseException:
            self.is_well = False
            raise

    @initialize(rates=st.lists(limits, min_size=1, max_size=2))
    def begin(self, rates: list[RateLimit]) -> None:
        self.world = World(self.loop, rates)
        self.world.users = self.population(self.world)

    def user(self, number: int) -> User:
        alive = self.world.alive
        return alive[number % len(alive)]

    @rule(
        who=which,
        lane=lanes,
        max_wait=patiences,
        requeued=st.sampled_from([False, False, False, True]),
        calls=st.sampled_from([1, 1, 2, 6]),
    )
    def join(
        self, *, who: int, lane: Lane, max_wait: float | None, requeued: bool, calls: int
    ) -> None:
        async def happen() -> None:
            for _ in range(calls):
                await self.world.join(self.user(who), lane, max_wait, requeued=requeued)
            await self.world.settle()

        self.run(happen())

    @precondition(lambda self: self.world.waiting)
    @rule(call=which)
    def leave(self, call: int) -> None:
        async def happen() -> None:
            self.world.cancel(self.world.waiting[call % len(self.world.waiting)])
            await self.world.settle()

        self.run(happen())

    @precondition(lambda self: self.world.flying)
    @rule(call=which, left=st.sampled_from([None, None, None, 0, 2]), drags=drags)
    def answer(self, call: int, left: int | None, drags: Drags) -> None:
        flying = self.world.flying[call % len(self.world.flying)]
        self.run(self.ends(self.world.answered(flying, left), drags))

    @precondition(lambda self: self.world.flying)
    @rule(
        call=which,
        fate=st.sampled_from(
            [Unknown(), NotCounted(), NotCounted(), Throttled(1.0), Throttled(9.5)]
        ),
        drags=drags,
    )
    def end(self, call: int, fate: SlotOutcome, drags: Drags) -> None:
        flying = self.world.flying[call % len(self.world.flying)]
        self.run(self.ends(self.world.end(flying, fate), drags))

    async def ends(self, ending: Awaitable[None], drags: Drags) -> None:
        """As it ends, who has waited longest leaves; perhaps with the slot already in hand."""
        await ending
        if drags is not None and self.world.waiting:
            first = self.world.waiting[0]
            leaving = partial(self.world.leave, first)
            if drags == "at once" or first.user.line is None:
                leaving()
            elif drags == "while the store decides":
                first.user.line.meanwhile = leaving
            else:
                first.user.line.meanwhile = partial(self.loop.call_soon, leaving)
        await self.world.settle()
        for user in self.world.users:
            if user.line is not None:
                user.line.meanwhile = None

    @rule(seconds=lengths)
    def time_passes(self, seconds: float) -> None:
        self.run(self.world.pass_by(seconds))

    @rule()
    def nothing_happens_for_a_while(self) -> None:
        self.run(self.world.look_again())

    @precondition(lambda self: self.world.is_shared)
    @rule(back=st.sampled_from([0.25, 2.0, 300.0]))
    def the_clock_of_the_store_jumps_back(self, back: float) -> None:
        self.world.store_clock.ahead -= back

    @precondition(lambda self: self.world.is_shared)
    @rule(who=which, trouble=st.sampled_from(["never arrives", "answer is lost"]))
    def a_visit_fails(self, who: int, trouble: Trouble) -> None:
        line = self.user(who).line
        assert line is not None
        if line.visits > line.visits_at_trouble:
            line.trouble, line.visits_at_trouble = trouble, line.visits

    @precondition(lambda self: self.world.is_shared and len(self.world.alive) > 1)
    @rule(who=which, lane=lanes, joining=st.booleans())
    def die(self, *, who: int, lane: Lane, joining: bool) -> None:
        """With `joining` it is killed while the store attends to it."""
        user = self.user(who)

        async def happen() -> None:
            if joining and user.line is not None:
                user.line.trouble = "answer is lost"
                await self.world.join(user, lane, None, requeued=False)
                await self.world.settle()
            await self.world.die(user)
            await self.world.settle()

        self.run(happen())

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            if self.is_well:
                self.world.run(self.world.calm_down())
        finally:
            self.world.run(self.world.close())


def check(population: Population, examples: int, steps: int = 40) -> None:
    loop = asyncio.new_event_loop()

    class Peopled(Rules):
        def __init__(self) -> None:
            super().__init__(loop, population)

    try:
        run_state_machine_as_test(
            Peopled,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                phases=set(Phase) - {Phase.explain},
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


# --------------------------------------------------------------------------- who keeps the budget


def test_the_limiter_of_one_process() -> None:
    def tasks(world: World) -> list[User]:
        world.paces = True
        limiter = InProcessLimiter(world.rates, world.clock)
        return [User(f"task {number}", world.clock, limiter) for number in range(USERS)]

    check(tasks, examples=80)


def processes(world: World, key: str, stores: Sequence[Store]) -> list[User]:
    found = []
    for number, (store, ahead) in enumerate(zip(stores, CLOCKS, strict=True)):
        clock, line = HostClock(world.clock, ahead), Line(store, world.clock, world.turn)
        limiter = SharedLimiter(line, key, world.rates, timeout=TIMEOUT, clock=clock)
        found.append(User(f"process {number}", clock, limiter, line))
    return found


def test_a_budget_in_an_sqlite_file(tmp_path: Path) -> None:
    numbers = itertools.count()

    def sharing(world: World) -> list[User]:
        path = tmp_path / f"{next(numbers)}.db"
        return processes(world, "k", [SqliteStore(path, world.store_clock) for _ in range(USERS)])

    check(sharing, examples=40)


class RedisOnOurClock(RedisStore):
    """A store whose times are not the server's."""

    def __init__(self, url: str, clock: Clock, server_clock: Clock) -> None:
        super().__init__(url, clock)
        self._server_clock = server_clock

    def _given_time(self) -> str:
        return repr(self._server_clock.monotonic())


@pytest.fixture(scope="module", params=list(PACKAGES))
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with running(request.param) as server:
        yield server.url


def test_a_budget_in_redis(url: str) -> None:
    numbers = itertools.count()

    def sharing(world: World) -> list[User]:
        # One of them for all: two that collide would wait in real time.
        store = RedisOnOurClock(url, world.clock, world.store_clock)
        return processes(world, str(next(numbers)), [store] * USERS)

    check(sharing, examples=25)
