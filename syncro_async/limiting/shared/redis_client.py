"""Makes the Redis client of an event loop from the URL of a limiter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from syncro_async.errors import ConfigurationError
from syncro_async.limiting.budget.state import OWNER_TTL

if TYPE_CHECKING:
    from redis.asyncio import Redis

# A request that hangs ends early enough for another one before the owner's places expire (s).
_PATIENCE = OWNER_TTL / 2
# A request takes one or two milliseconds, so these are enough for thousands of keys.
_CONNECTIONS = 16
_SENTINEL = ("redis+sentinel", "rediss+sentinel")
_SENTINEL_PORT = 26379


def make_client(url: str) -> Redis:
    """A client that connects on first use.

    `url` is that of redis-py, or `redis+sentinel://user:password@host:26379,host/service/0`, with
    `rediss+sentinel` for TLS. Raises `ConfigurationError` when redis-py is not installed, or the
    URL cannot be read, or has an option that the limiter cannot work with.
    """
    try:
        import redis.asyncio  # noqa: F401 - whether it is there
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            'a limiter at redis:// needs: pip install "syncro-async[redis]"'
        ) from error
    try:
        sentinel = url.partition("://")[0].lower() in _SENTINEL
        client = _sentinel_client(url) if sentinel else _client(url)
        pool = client.connection_pool
        if not sentinel:
            pool.connection_class(**pool.connection_kwargs)  # raises for an unknown option
    except (TypeError, ValueError):
        # The text of the error may show the password.
        raise ConfigurationError(
            "redis-py cannot read the limiter's URL; write it like"
            " redis://user:password@host:6379/0 or"
            " redis+sentinel://user:password@host:26379,host:26379/service/0"
        ) from None
    if pool.connection_kwargs.get("decode_responses"):
        raise ConfigurationError(
            "the limiter's URL has decode_responses, which makes texts of the limiter's bytes;"
            " remove that option"
        )
    return client


async def close_client(client: Redis) -> None:
    """Close the client, and its connections to sentinels, which redis-py leaves open."""
    await client.aclose()
    manager: Any = getattr(client.connection_pool, "sentinel_manager", None)
    for sentinel in () if manager is None else manager.sentinels:
        await sentinel.aclose()


def _options() -> dict[str, Any]:
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return {
        "socket_timeout": _PATIENCE,
        "socket_connect_timeout": _PATIENCE,
        # The store decides about another attempt.
        "retry": Retry(NoBackoff(), 0),
    }


def _client(url: str) -> Redis:
    from redis.asyncio import BlockingConnectionPool, Redis

    pool = BlockingConnectionPool.from_url(
        url, max_connections=_CONNECTIONS, timeout=_PATIENCE, **_options()
    )
    return Redis.from_pool(pool)


def _sentinel_client(url: str) -> Redis:
    """A client that asks the sentinels for the master of the service at each new connection."""
    from redis.asyncio import ConnectionPool, Redis
    from redis.asyncio.sentinel import Sentinel

    scheme, _, rest = url.partition("://")
    network, _, path = rest.partition("/")
    login, _, hosts = network.rpartition("@")
    service, _, database = path.partition("?")[0].partition("/")
    if not service:
        raise ValueError(url)
    # redis-py reads the options of the query, which are those of a plain URL.
    plain = f"{scheme.partition('+')[0]}://localhost/{database}?{path.partition('?')[2]}"
    options = _options() | ConnectionPool.from_url(plain).connection_kwargs
    options.pop("host", None)
    options["ssl"] = scheme.lower().startswith("rediss")
    user, _, password = login.partition(":")
    login_options = {"username": unquote(user), "password": unquote(password)}
    options |= {name: text for name, text in login_options.items() if text}
    addresses = [_address(host) for host in hosts.split(",")]
    sentinel: Any = Sentinel(addresses, sentinel_kwargs=_options())  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(unquote(service), redis_class=Redis, **options)
    return client


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(text)
    return parts.hostname, parts.port or _SENTINEL_PORT
