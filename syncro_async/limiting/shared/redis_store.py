"""Keeps shared budgets in Redis or Valkey, for any number of hosts."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import msgspec

from syncro_async.clock import Clock, SystemClock
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.budget.messages import SyncRequest, SyncResponse
from syncro_async.limiting.budget.state import OWNER_TTL, BudgetState
from syncro_async.limiting.budget.store_time import Moment, heartbeats_of
from syncro_async.limiting.budget.stored_state import head_of, read_state, remember, write_state
from syncro_async.limiting.budget.sync import state_for, sync
from syncro_async.limiting.shared.job_lease import JobClaim
from syncro_async.limiting.shared.redis_client import close_client, make_client
from syncro_async.limiting.shared.redis_scripts import CLAIM_JOB, COMPARE_AND_SET, READ
from syncro_async.limiting.shared.store import StoreUnreachableError

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

# A budget that was not used for this long (ms) is deleted, once nothing in it counts.
_KEPT_FOR = 86_400_000
# How long a process waits at most before it reads again what another process has changed (s).
_LONGEST_BACKOFF = OWNER_TTL / 4
_MOST_COLLISIONS = 100
# Heartbeats whose time differs by less (s) are the same.
_SAME = 1e-3


@dataclass(frozen=True, slots=True)
class _Scripts:
    client: Redis
    read: AsyncScript
    compare_and_set: AsyncScript
    claim_job: AsyncScript
    # Clients of one key in this event loop must not collide with each other.
    locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the server keeps of a key: the stored state, and heartbeats by the server's clock."""

    stored: bytes
    moment: Moment
    heartbeats: dict[str, float]


class RedisStore:
    """A Redis or Valkey server, connected on first use.

    A synchronisation reads the state and the server's time, applies the functions of `budget/`,
    and writes the state if no other process has written it meanwhile; else it starts again.
    Heartbeats are kept beside the state, so that they change nothing in it.

    `url` is that of redis-py: `redis://user:password@host:6379/0`, `rediss://` with TLS, `unix://`;
    its query may hold options of redis-py (`?socket_timeout=3`). `redis+sentinel://` asks sentinels
    for the master. Times are those of the server, and never faster than those of `clock`. The
    server has two entries for each key that was used lately: `syncro_async:` and the hash of the
    key, and its heartbeats. Each event loop has its own connections. Raises `ConfigurationError`
    when redis-py is not installed or the URL cannot be read.
    """

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._url = url
        self._clock = clock or SystemClock()
        self._scripts: dict[asyncio.AbstractEventLoop, _Scripts] = {}
        make_client(url)

    async def sync(self, key: str, request: SyncRequest) -> SyncResponse:
        """Apply the request to the state of the key on the server. See `Store.sync`."""
        from redis.exceptions import RedisError

        scripts = self._in_this_loop()
        lock = scripts.locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                return await self._apply_again(scripts, _keys(key), request)
        except (RedisError, OSError) as error:
            _raise_if_permanent(error)
            raise StoreUnreachableError(f"the limiter's Redis: {error}") from error.with_traceback(
                None
            )

    async def claim_job(self, claim: JobClaim) -> float:
        """Take, renew or release a job lease. See `JobStore.claim_job`."""
        from redis.exceptions import RedisError

        scripts = self._in_this_loop()
        keys = [f"syncro_async:job:{claim.name}"]
        milliseconds = math.ceil(claim.seconds * 1000)
        given: list[str | int] = [
            *(claim.holder, claim.place),
            *(milliseconds, int(claim.renews)),
        ]
        try:
            try:
                rest = await scripts.claim_job(keys, given)
            except (RedisError, OSError) as error:
                # As in `_apply_again`. A claim that is made twice by one holder is granted twice.
                _raise_if_permanent(error)
                await scripts.client.connection_pool.disconnect(inuse_connections=False)
                rest = await scripts.claim_job(keys, given)
        except (RedisError, OSError) as error:
            _raise_if_permanent(error)
            raise StoreUnreachableError(f"the limiter's Redis: {error}") from error.with_traceback(
                None
            )
        return float(rest) / 1000

    async def aclose(self) -> None:
        """Close the connections of the running event loop; does nothing without any."""
        scripts = self._scripts.pop(asyncio.get_running_loop(), None)
        if scripts is not None:
            await close_client(scripts.client)

    async def _apply_again(
        self, scripts: _Scripts, keys: list[str], request: SyncRequest
    ) -> SyncResponse:
        """Apply the request, a second time after an error that new connections may cure."""
        from redis.exceptions import RedisError

        try:
            return await self._apply(scripts, keys, request)
        except (RedisError, OSError) as error:
            _raise_if_permanent(error)
            # A connection may be broken, or lead to a server that is no longer the master. New
            # connections find the present one. A request may be applied twice.
            await scripts.client.connection_pool.disconnect(inuse_connections=False)
            return await self._apply(scripts, keys, request)

    async def _apply(
        self, scripts: _Scripts, keys: list[str], request: SyncRequest
    ) -> SyncResponse:
        asked_at = self._clock.monotonic()
        for collisions in range(1, _MOST_COLLISIONS + 1):
            reading = await self._read(scripts, keys, request.owner)
            stored = read_state(reading.stored) if reading.stored else None
            state = state_for(stored, request, reading.moment.clock)
            reading.heartbeats[request.owner] = reading.moment.clock
            # Of a state that is new, nobody has a heartbeat, also if the server has kept them.
            known = reading.heartbeats if stored else {request.owner: reading.moment.clock}
            state.heartbeats = heartbeats_of(state, known, reading.moment.clock)
            response, changed = sync(state, request, reading.moment)
            delay = reading.moment.asked_at - asked_at
            response = msgspec.structs.replace(response, delayed_by=delay)
            if not changed and not request.closes:
                return remember(response, state, reading.stored, reading.moment)
            heartbeats, state.heartbeats = state.heartbeats, {}
            packed = write_state(state)
            state.heartbeats = heartbeats
            arguments = self._change(reading, state, packed)
            if await scripts.compare_and_set(keys, arguments):
                return remember(response, state, packed, reading.moment)
            took = self._clock.monotonic() - reading.moment.asked_at
            longest = longest_backoff(collisions, len(known), took)
            # Without the jitter, processes that collide once would collide again.
            await self._clock.sleep(random.uniform(0.0, longest))  # noqa: S311 - no secret
        raise StoreUnreachableError("other processes changed the limiter's Redis each time")

    async def _read(self, scripts: _Scripts, keys: list[str], owner: str) -> _Reading:
        asked_at = self._clock.monotonic()
        arguments: list[str | int] = [owner, self._given_time(), _KEPT_FOR]
        clock, stored, owners = await scripts.read(keys, arguments)
        pairs = zip(owners[::2], owners[1::2], strict=True)
        return _Reading(
            stored,
            Moment(float(clock), asked_at, self._clock.monotonic()),
            {name.decode(): float(at) for name, at in pairs},
        )

    def _change(
        self, reading: _Reading, state: BudgetState, packed: bytes
    ) -> list[bytes | str | int]:
        """The arguments of `COMPARE_AND_SET` for this state."""
        offset = state.clock - state.now
        alive = {owner: at + offset for owner, at in state.heartbeats.items()}
        gone = [owner for owner in reading.heartbeats if owner not in alive]
        moved = [
            field
            for owner, at in alive.items()
            if abs(at - reading.heartbeats.get(owner, math.inf)) > _SAME
            for field in (repr(at), owner)
        ]
        kept_for = _KEPT_FOR + math.ceil(_counts_for(state) * 1000)
        head = head_of(reading.stored) if reading.stored else b""
        read_at = repr(reading.moment.clock)
        return [head, read_at, self._given_time(), packed, kept_for, len(gone), *gone, *moved]

    def _given_time(self) -> str:
        """Empty: the server's own clock counts."""
        return ""

    def _in_this_loop(self) -> _Scripts:
        loop = asyncio.get_running_loop()
        scripts = self._scripts.get(loop)
        if scripts is None:
            # Each step is one atomic operation of the dictionary, because other threads use it.
            for closed in [other for other in list(self._scripts) if other.is_closed()]:
                self._scripts.pop(closed, None)
            client = make_client(self._url)
            scripts = self._scripts[loop] = _Scripts(
                client,
                client.register_script(READ),
                client.register_script(COMPARE_AND_SET),
                client.register_script(CLAIM_JOB),
            )
        return scripts


def longest_backoff(collisions: int, processes: int, took: float) -> float:
    """How long a process waits at most (s) after so many collisions in a row.

    One attempt takes `took` seconds, and only one of the attempts at the same time succeeds. So
    the wait doubles until there is time for one attempt of each of the `processes`. With a shorter
    wait, the attempts of many processes would all fail, and use the CPU that one of them needs.
    """
    return min(took * min(1 << collisions, max(2, processes)), _LONGEST_BACKOFF)


def _keys(key: str) -> list[str]:
    """The entries of a key. In a cluster both are on one server, because of the braces."""
    state = f"syncro_async:{key}"
    return [state, f"{{{state}}}:heartbeats"]


def _counts_for(state: BudgetState) -> float:
    """After how many seconds nothing in the state counts any more, if no process comes."""
    hold = max(limit.hold_seconds for limit in state.limits)
    last = [
        state.gate.closed_until,
        *(at + hold for at in state.answered.values()),
        *(lease.expires_at for lease in state.leases.values()),
        *state.awaited.values(),
        *([] if state.share is None else [state.share.raise_at]),
    ]
    return max(OWNER_TTL, max(last) - state.now)


def _raise_if_permanent(error: Exception) -> None:
    """Raise `ConfigurationError` for an error that another attempt would meet again."""
    from redis import exceptions

    text = str(error)
    kinds = (exceptions.NoPermissionError, exceptions.AskError, exceptions.ClusterCrossSlotError)
    if isinstance(error, kinds) or any(word in text for word in _PERMANENT):
        raise ConfigurationError(
            f"the limiter's Redis cannot be used: {text}; {_cure(error, text)}"
        ) from error.with_traceback(None)


_PERMANENT = ("DB index", "WRONGTYPE", "unknown command", "MOVED", "CROSSSLOT")


def _cure(error: Exception, text: str) -> str:
    from redis import exceptions

    if isinstance(error, exceptions.NoPermissionError):
        return (
            "allow this user to run EVALSHA, SCRIPT LOAD, TIME, GET, GETRANGE, SET, DEL, PTTL,"
            " ZADD, ZREM, ZRANGE and PEXPIRE on keys that match *syncro_async:*"
        )
    if "DB index" in text:
        return "name a database that the server has in the URL of limiter="
    if "WRONGTYPE" in text:
        return "another program uses the entries syncro_async:*; name another database in limiter="
    if "unknown command" in text:
        return "it needs a server with EVALSHA, such as Redis 5 or Valkey"
    return "a cluster is not supported; name one server, or sentinels with redis+sentinel://"
