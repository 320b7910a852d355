"""A moment after which a call is not sent, beside the hooks of whoever waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from syncro_async.limiting.context import (
    TooLateError,
    before_send,
    hooked_wait,
    sent_until,
    use_wait_hooks,
)
from syncro_async.testing import FakeClock


class Caller:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self.told.append("waits")
        yield

    async def before_send(self) -> None:
        self.told.append("sends")


async def test_a_call_is_sent_until_the_moment_and_not_later() -> None:
    clock = FakeClock(autojump=False)
    with sent_until(3.0, clock), hooked_wait():
        await clock.advance(3.0)
        await before_send()
        await clock.advance(0.5)
        with pytest.raises(TooLateError, match="nothing was sent"):
            await before_send()
    await before_send()


async def test_the_caller_around_it_is_told_all_the_same() -> None:
    caller = Caller()
    with use_wait_hooks(caller), sent_until(3.0, FakeClock()), hooked_wait():
        await before_send()
    assert caller.told == ["waits", "sends"]
