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
    """The budget of a key at one moment.

    - `limit`, `window`: the tightest limit now: so many calls in so many seconds.
    - `available`: slots that can be used at once.
    - `in_flight`: slots of calls that are sent or wait for a connection.
    - `waiting`, `waiting_bulk`: calls in the queue, and those of them in the bulk lane.
    - `next_free_in`: the time until a new interactive call could be sent if it were alone (s; 0.0
      when a slot is free, an estimate while all are in flight). A bulk call can wait longer,
      because the bulk lane is paced while interactive calls use the key.
    - `gate_closed_for`: the rest of a pause that the server asked for (s).
    - `foreign_estimate`: calls of the longest window that other clients use: learned from 429s,
      forgotten when they stop, or reported by the server in this window.
    - `used`: slots of calls that were answered; they return one by one.
    - `retries_left`: the client's stock of retries (`RetryPolicy.quota`). None without a quota, and
      in the snapshot of a limiter.
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

    - `taken_at`: when it was granted (monotonic s).
    - `is_probe`: its call goes alone after a pause.
    - `released`: it was released.
    - `foreign`: the budget's `foreign_estimate` at the grant.
    - `paced`: its call waited in the bulk lane while interactive calls paced that lane.
    - `booked_at_grant`, `lease_id`: for the limiter.
    """

    taken_at: float
    is_probe: bool = False
    released: bool = False
    foreign: int = 0
    paced: bool = False
    booked_at_grant: int = 0
    lease_id: str = ""


class NotCounted(msgspec.Struct, frozen=True):
    """The server did not count the request: nothing was sent, or it refused before counting."""


class Answered(msgspec.Struct, frozen=True):
    """The headers of the answer came at `at` (monotonic s).

    `remaining`: how many more calls the server will count, None where it does not say.
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

    One limiter is for one key; the client acquires a slot for each attempt. An object of your own
    can be given as `AsyncClient(limiter=…)`. The types that it needs, `Slot` and `SlotOutcome` with
    its kinds, are in this module, `syncro_async.limiting.protocol`.
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
        """Whether a slot may still be used; asked before the request is sent.

        False after a 429 has paused the key, and for a slot that is too old because the process was
        stopped. The slot is then released as `NotCounted`, and the call waits again.

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
