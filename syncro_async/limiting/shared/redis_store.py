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

# A request that hangs ends early enough for another one before the owner's places expire (s).
_PATIENCE = OWNER_TTL / 2
# A request takes one or two milliseconds, so these are enough for thousands of keys.
_CONNECTIONS = 16


class RedisStore:
    """A Redis or Valkey server, connected on first use; one script call is one synchronisation.

    `url` is that of redis-py: `redis://user:password@host:6379/0`, `rediss://` with TLS, `unix://`;
    its query may hold options of redis-py (`?socket_timeout=3`). Times are those of the server. The
    server has one entry for each key that was used lately: `syncro_async:` and the hash of the key.
    Each event loop has its own connections. Raises `ConfigurationError` when redis-py is not
    installed or the URL cannot be read.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._scripts: dict[asyncio.AbstractEventLoop, AsyncScript] = {}
        self._new_script()

    async def sync(self, key: str, request: SyncRequest) -> SyncResponse:
        """Apply the request to the state of the key on the server. See `Store.sync`."""
        from redis.exceptions import ConnectionError as BrokenError
        from redis.exceptions import RedisError

        script = self._script()
        keys, arguments = [f"syncro_async:{key}"], [msgspec.msgpack.encode(request), b""]
        try:
            try:
                reply = await script(keys, arguments)
            except BrokenError:
                # A connection from the pool may be broken; a request may be applied twice.
                reply = await script(keys, arguments)
        except (RedisError, OSError) as error:
            raise StoreUnreachableError(f"the limiter's Redis: {error}") from error.with_traceback(
                None
            )
        return to_response(reply)

    async def aclose(self) -> None:
        """Close the connections of the running event loop; does nothing without any."""
        script = self._scripts.pop(asyncio.get_running_loop(), None)
        if script is not None:
            await script.registered_client.aclose()

    def _script(self) -> AsyncScript:
        loop = asyncio.get_running_loop()
        script = self._scripts.get(loop)
        if script is None:
            # Each step is one atomic operation of the dictionary, because other threads use it.
            for closed in [other for other in list(self._scripts) if other.is_closed()]:
                self._scripts.pop(closed, None)
            script = self._scripts[loop] = self._new_script()
        return script

    def _new_script(self) -> AsyncScript:
        """The script, with a client that connects on first use."""
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
                # The caller of sync() decides about another attempt.
                retry=Retry(NoBackoff(), 0),
            )
            pool.connection_class(**pool.connection_kwargs)  # raises for an unknown option
        except (TypeError, ValueError):
            # The text of the error may show the password.
            raise ConfigurationError(
                "the limiter's URL is none that redis-py can read; write it like"
                " redis://user:password@host:6379/0"
            ) from None
        return Redis.from_pool(pool).register_script(SCRIPT)


def to_response(reply: Any) -> SyncResponse:
    """Decode the reply of the script. Raises `ConfigurationError` for other limits in use."""
    attended, packed = reply
    if not attended:
        raise other_limits(msgspec.msgpack.decode(packed, type=list[Limit]))
    fields = msgspec.msgpack.decode(packed)
    fields[_PLACES] = fields[_PLACES] or {}  # an empty table of Lua's becomes a list
    return msgspec.convert(fields, SyncResponse)


_PLACES = SyncResponse.__struct_fields__.index("positions")
