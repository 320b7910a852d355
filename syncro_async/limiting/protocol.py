"""What every limiter can do, and the words it is asked in."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.models import base

Lane = Literal["interactive", "bulk"]

# A request whose fate is unknown may still reach the server; past this it is taken to be counted.
LATE_ARRIVAL_GRACE = 5.0


class Budget(base.Model, frozen=True):
    """How a key's budget stands: a snapshot, true at the moment it was taken.

    `limit` calls in `window` seconds is the tightest limit right now. Of its slots `available`
    may be used at once; `in_flight` belong to calls on the wire or about to be (they wait for one
    of `max_connections`). `waiting` calls stand in the queue, of them `waiting_bulk` in the bulk
    lane. `next_free_in` is the time until a new interactive call could be sent if it were alone
    (s, 0.0 when one is free, an estimate while all slots are in flight); a bulk call can wait
    longer, because the bulk lane is paced while interactive calls use the key. `gate_closed_for`
    is what is left of a pause the server asked for (s). `foreign_estimate` calls of the longest
    window are left to somebody else who uses the key: learned from 429s, forgotten when they stay
    away, or told by the server in this window. `used` slots belong to calls that were answered, and
    return one by one. `retries_left` retries are in the client's stock (`RetryPolicy.quota`; None:
    it has no quota, or the snapshot is that of a limiter and not of a client).
    """

    limit: int
    window: float
    available: int
    in_flight: int
    waiting: int
    next_free_in: float
    waiting_bulk: int = 0
    gate_closed_for: float = 0.0
    foreign_estimate: int = 0
    used: int = 0
    retries_left: int | None = None


class Slot(msgspec.Struct, eq=False):
    """The right to send one request. It must be released exactly once.

    `opener`: it is the one call that tries a gate after its pause. `foreign`: the budget's
    `foreign_estimate` at that moment. `booked_at_grant` and `lease_id` are for the limiter.
    """

    taken_at: float
    is_probe: bool = False
    released: bool = False
    foreign: int = 0
    booked_at_grant: int = 0
    lease_id: str = ""


class NotCounted(msgspec.Struct, frozen=True):
    """The server did not count the request: nothing was sent, or it refused before counting."""


class Answered(msgspec.Struct, frozen=True):
    """The answer's headers came at that moment (monotonic seconds).

    `left`: how many more calls the server said it would count (None: it did not say).
    """

    at: float
    remaining: int | None = None


class Unknown(msgspec.Struct, frozen=True):
    """The request may have reached the server, or may still do so."""


class Throttled(msgspec.Struct, frozen=True):
    """429: not counted, and nobody may send for `pause` seconds."""

    pause: float


SlotOutcome = NotCounted | Answered | Unknown | Throttled


class Limiter(Protocol):
    """Decides when a request may be sent.

    One limiter guards one key; the client goes through it with every attempt. An object of your
    own can be given as `AsyncClient(limiter=…)`; its types (`Slot`, and `SlotOutcome` with
    its kinds) are importable from where this protocol is, `syncro_async.limiting.protocol`.
    """

    @property
    def rates(self) -> tuple[RateLimit, ...]:
        """The limits it keeps."""

    async def acquire(
        self, lane: Lane, *, max_wait: float | None = None, requeued: bool = False
    ) -> Slot:
        """Wait for the right to send one request, and take it.

        Within a lane, the order is that of the calls. Raises `BudgetWaitError` at once when the
        wait would exceed `max_wait`, and later when a 429 or slow answers make it so. A waiter that
        is cancelled passes its turn on.

        - `lane`: `"interactive"` or `"bulk"`.
        - `max_wait`: the longest wait (s; None: any).
        - `requeued`: the call was answered with 429 and goes to the front (default False).
        """

    def is_valid(self, slot: Slot) -> bool:
        """Whether a slot may still be used; False once a 429 has paused the key.

        - `slot`: one that `acquire` returned.
        """

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        """Report the outcome of a request, which decides when its slot is free again.

        - `slot`: one that `acquire` returned, once.
        - `outcome`: `Answered`, `Unknown`, `NotCounted` or `Throttled`.
        """

    def budget(self) -> Budget:
        """A snapshot, as far as this process knows."""

    async def refresh(self) -> None:
        """Bring `budget()` up to date."""
