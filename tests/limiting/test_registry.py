"""One limiter for each key and service, as long as it matters."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Callable

import pytest

from syncro_async.clock import SystemClock
from syncro_async.errors import ConfigurationError
from syncro_async.limiting import registry
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Answered, NotCounted
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.registry import in_process_limiter, keep_alive_for, key_hash
from syncro_async.testing.fake_clock import FakeClock

URL = "https://crm.example/api/v1"
KEY = "a-very-secret-key"
RATES = (RateLimit(2, 60.0),)
OTHERS = (RateLimit(5, 10.0),)


class User:
    """Whoever uses a limiter: a client, say."""

    def __init__(self, limiter: InProcessLimiter) -> None:
        self.limiter = limiter
        keep_alive_for(self, limiter)


def test_the_same_key_service_and_clock_share_one_limiter() -> None:
    clock = FakeClock()
    limiter = in_process_limiter(URL, KEY, RATES, clock)
    assert in_process_limiter(URL, KEY, RATES, clock) is limiter


def test_another_key_service_or_clock_has_another_limiter() -> None:
    clock = FakeClock()
    limiter = in_process_limiter(URL, KEY, RATES, clock)
    others = [
        in_process_limiter(URL, KEY + "2", RATES, clock),
        in_process_limiter(URL + "2", KEY, RATES, clock),
        in_process_limiter(URL, KEY, RATES, FakeClock()),
    ]
    assert len({id(limiter), *map(id, others)}) == 4


def test_all_system_clocks_are_one() -> None:
    limiter = in_process_limiter(URL, KEY, RATES, SystemClock())
    assert in_process_limiter(URL, KEY, RATES, SystemClock()) is limiter


async def test_other_rates_are_refused_while_a_slot_is_taken_and_adopted_after() -> None:
    clock = FakeClock(autojump=False)
    limiter = in_process_limiter(URL, KEY, RATES, clock)
    slot = await limiter.acquire("interactive")
    with pytest.raises(ConfigurationError, match="other rates") as caught:
        in_process_limiter(URL, KEY, OTHERS, clock)
    assert KEY not in str(caught.value)
    await limiter.release(slot, Answered(clock.monotonic()))
    await clock.advance(60)
    with pytest.raises(ConfigurationError):
        in_process_limiter(URL, KEY, OTHERS, clock)
    await clock.advance(0.25)
    assert in_process_limiter(URL, KEY, OTHERS, clock) is limiter
    assert limiter.rates == OTHERS
    assert limiter.budget().available == 5


async def test_a_limiter_outlives_its_last_user_until_its_slots_are_free() -> None:
    clock = FakeClock(autojump=False)
    user = User(in_process_limiter(URL, KEY, RATES, clock))
    await user.limiter.release(await user.limiter.acquire("bulk"), Answered(clock.monotonic()))
    del user
    gc.collect()
    limiter = in_process_limiter(URL, KEY, RATES, clock)
    assert limiter.budget().available == 1
    with pytest.raises(ConfigurationError):
        in_process_limiter(URL, KEY, OTHERS, clock)


async def leave_behind(clock: FakeClock, number: int) -> list[weakref.ref[InProcessLimiter]]:
    """Users of that many keys that have made one call each and gone."""
    left = []
    for key in range(number):
        user = User(in_process_limiter(URL, f"{KEY} {key}", RATES, clock))
        await user.limiter.release(await user.limiter.acquire("bulk"), Answered(clock.monotonic()))
        left.append(weakref.ref(user.limiter))
    return left


async def test_limiters_nobody_uses_are_forgotten_once_their_slots_are_free() -> None:
    clock = FakeClock(autojump=False)
    left = await leave_behind(clock, 500)
    gc.collect()
    assert sum(limiter() is not None for limiter in left) == 500
    await clock.advance(60.25)
    # Other tests have left some busy on clocks that stand: they are looked through, and kept.
    for number in range(600 + 2 * len(registry._draining._limiters)):
        User(in_process_limiter(URL, f"another key {number}", RATES, clock))
    gc.collect()
    assert sum(limiter() is not None for limiter in left) == 0


async def test_a_limiter_that_is_busy_is_kept_however_many_are_forgotten() -> None:
    clock = FakeClock(autojump=False)
    (busy,) = await leave_behind(clock, 1)
    for number in range(200):
        User(in_process_limiter(URL, f"another key {number}", RATES, clock))
    gc.collect()
    limiter = busy()
    assert limiter is not None
    assert limiter.budget().available == 1


class CountingLimiter(InProcessLimiter):
    """Counts how often it is asked whether it is idle."""

    asked = 0

    def is_idle(self) -> bool:
        type(self).asked += 1
        return super().is_idle()


async def test_ten_thousand_busy_keys_are_not_looked_through_again_and_again() -> None:
    clock = FakeClock(autojump=False)
    for _ in range(10_000):
        limiter = CountingLimiter(RATES, clock)
        await limiter.acquire("bulk")
        registry._draining.add(limiter)
        registry._draining.forget_idle()
    assert CountingLimiter.asked < 30_000


def test_a_limiter_of_ones_own_is_left_to_its_owner() -> None:
    class Own:
        rates = RATES

        async def acquire(self, *args: object, **options: object) -> None: ...

        async def release(self, *args: object) -> None: ...

        def budget(self) -> None: ...

    own = Own()
    seen = weakref.ref(own)
    user = type("User", (), {})()
    keep_alive_for(user, own)  # type: ignore[arg-type]
    del own
    gc.collect()
    assert seen() is None


class DisturbedClock(FakeClock):
    """A clock that makes something happen in the middle of a look-up, as the collector might."""

    def __init__(self) -> None:
        super().__init__()
        self.disturb: Callable[[], object] = dict

    def __hash__(self) -> int:
        self.disturb()
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def test_a_user_may_be_collected_in_the_middle_of_a_look_up() -> None:
    clock = DisturbedClock()
    users = [User(in_process_limiter(URL, KEY, RATES, clock))]
    limiter = users[0].limiter
    clock.disturb = users.clear
    assert in_process_limiter(URL, KEY, RATES, clock) is limiter
    assert users == []


async def test_nothing_holds_the_key() -> None:
    clock = FakeClock(autojump=False)
    limiter = in_process_limiter(URL, KEY, RATES, clock)
    await limiter.release(await limiter.acquire("bulk"), NotCounted())
    identities = [identity for identity, known in registry._known.items() if known is limiter]
    assert [identity[:2] for identity in identities] == [(URL, key_hash(KEY))]
    assert KEY not in repr(identities)
    assert KEY not in repr([getattr(limiter, name) for name in InProcessLimiter.__slots__])
    assert KEY.encode() not in pickle.dumps(key_hash(KEY))
    assert len(key_hash(KEY)) == 32
