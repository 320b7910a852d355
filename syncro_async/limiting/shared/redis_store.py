"""Keeps shared budgets in Redis or Valkey, for any number of hosts."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec

from syncro_async.errors import ConfigurationError
from syncro_async.limiting.shared.messages import Limit, SyncRequest, SyncResponse, other_limits
from syncro_async.limiting.shared.state import OWNER_TTL
from syncro_async.limiting.shared.store import StoreUnreachableError

if TYPE_CHECKING:
    from redis.commands.core import AsyncScript

SCRIPT = "".join(
    files(__package__).joinpath("lua", part).read_text(encoding="utf-8")
    for part in ("slots.lua", "queue.lua", "visit.lua")
)

# A visit that hangs is given up while there is time for another before its owner's places lapse.
_PATIENCE = OWNER_TTL / 2
# A visit takes a millisecond or two, so that thousands of keys need no more than these.
_CONNECTIONS = 16


class RedisStore:
    """A Redis or Valkey server, connected to on first use; one script there is one visit.

    `url` is redis-py's: `redis://user:password@host:6379/0`, `rediss://` with TLS, `unix://`; its
    query may hold redis-py's options (`?socket_timeout=3`). Times are the server's own clock. The
    server holds one entry for each key that was used lately: `syncro_async:` and the key's hash.
    An event loop has its own connections. Raises `ConfigurationError` when redis-py is missing or
    the URL is none.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._scripts: dict[asyncio.AbstractEventLoop, AsyncScript] = {}
        self._new_script()

    async def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
        """Apply the visit to the key's state on the server. See `Store.attend`."""
        from redis.exceptions import ConnectionError as BrokenError
        from redis.exceptions import RedisError

        script = self._script()
        keys, arguments = [f"syncro_async:{key}"], [msgspec.msgpack.encode(visit), b""]
        try:
            try:
                reply = await script(keys, arguments)
            except BrokenError:
                # A connection kept open may have died since; a visit may be told twice.
                reply = await script(keys, arguments)
        except (RedisError, OSError) as error:
            raise StoreUnreachableError(f"the limiter's Redis: {error}") from error.with_traceback(
                None
            )
        return to_response(reply)

    async def aclose(self) -> None:
        """Close the running event loop's connections; harmless when there are none."""
        script = self._scripts.pop(asyncio.get_running_loop(), None)
        if script is not None:
            await script.registered_client.aclose()

    def _script(self) -> AsyncScript:
        loop = asyncio.get_running_loop()
        script = self._scripts.get(loop)
        if script is None:
            # Each step is one of the dictionary's own: other threads may be here as well.
            for closed in [other for other in list(self._scripts) if other.is_closed()]:
                self._scripts.pop(closed, None)
            script = self._scripts[loop] = self._new_script()
        return script

    def _new_script(self) -> AsyncScript:
        """The script, with a client that opens its connections when it is used."""
        try:
            from redis.asyncio import BlockingConnectionPool, Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                'a limiter at redis:// needs: pip install "syncro-async[redis]"'
            ) from error
        try:
            pool = BlockingConnectionPool.from_url(
                self._url,
                max_connections=_CONNECTIONS,
                timeout=_PATIENCE,
                socket_timeout=_PATIENCE,
                socket_connect_timeout=_PATIENCE,
                # Whether to try again is decided by whoever sends the visit.
                retry=Retry(NoBackoff(), 0),
            )
            pool.connection_class(**pool.connection_kwargs)  # an option it does not know shows here
        except (TypeError, ValueError):
            # What is wrong with it may show the password.
            raise ConfigurationError(
                "the limiter's URL is none that redis-py can read; write it like"
                " redis://user:password@host:6379/0"
            ) from None
        return Redis.from_pool(pool).register_script(SCRIPT)


def to_response(reply: Any) -> SyncResponse:
    """Read the script's answer. Raises `ConfigurationError` when it has other limits in use."""
    attended, packed = reply
    if not attended:
        raise other_limits(msgspec.msgpack.decode(packed, type=list[Limit]))
    fields = msgspec.msgpack.decode(packed)
    fields[_PLACES] = fields[_PLACES] or {}  # an empty table of Lua's becomes a list
    return msgspec.convert(fields, SyncResponse)


_PLACES = SyncResponse.__struct_fields__.index("positions")
