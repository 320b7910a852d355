"""Reads `limiter="…"`: where a budget is kept, and what happens when that place is out of reach."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode

from syncro_async._internal.plain_text import shown
from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.budget.state import STATE_LOSS_PAUSE
from syncro_async.limiting.host import host_file
from syncro_async.limiting.protocol import Limiter
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.registry import in_process_limiter, key_hash
from syncro_async.limiting.shared.limiter import SharedLimiter
from syncro_async.limiting.shared.redis_store import RedisStore
from syncro_async.limiting.shared.sqlite_store import SqliteStore
from syncro_async.limiting.shared.store import Store, StoreHandle

_REDIS = {"redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"}
_KNOWN = (
    "memory://, host, sqlite:///path/to/file or redis://host:6379/0 (rediss:// with TLS, unix://,"
    " redis+sentinel://)"
)
_LOCAL_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """A shared store: its file or its URL, and the share to live on in an outage."""

    address: Path | str = field(repr=False)  # it may hold a password
    local_share: float | None

    def store(self, clock: Clock) -> Store:
        """The store there. Raises `ConfigurationError` when it cannot be one."""
        if isinstance(self.address, Path):
            return SqliteStore(self.address, clock)
        return RedisStore(self.address, clock)


def location_of(url: str) -> StoreLocation:
    """Where the URL points. Raises `ConfigurationError` when that is no shared limiter's."""
    address, _, query = url.partition("?")
    given, separator, rest = address.partition("://")
    scheme = given.lower()
    if not separator or (scheme != "sqlite" and scheme not in _REDIS):
        # The part behind it, or before an @, may be a password.
        kind = given.partition(":")[0]
        what = "limiter is no URL" if "@" in kind else f"limiter {shown(kind)} is not known"
        raise ConfigurationError(f"{what}; write {_KNOWN}")
    if "#" in url:
        raise ConfigurationError("the limiter's URL has a '#', which must be written '%23' there")
    options = dict(parse_qsl(query, keep_blank_values=True))
    local_share = _local_share(options.pop("on_outage", "error"), options.pop("local_share", None))
    if scheme == "sqlite":
        return StoreLocation(_file(rest, options), local_share)
    their_own = f"?{urlencode(options)}" if options else ""
    return StoreLocation(f"{scheme}://{rest}{their_own}", local_share)


def _file(address: str, options: Iterable[str]) -> Path:
    if options:
        unknown = ", ".join(sorted(options))
        raise ConfigurationError(
            f"the limiter's URL has options that sqlite:// does not know: {unknown}"
        )
    # A URL's path is absolute, so that all programs mean the same file wherever they run.
    if not address.startswith("/") or address.endswith("/"):
        raise ConfigurationError(
            "a limiter at sqlite:// needs a file, by its absolute path: sqlite:///srv/app/budget.db"
        )
    return Path(local_path(address)).resolve()


def local_path(address: str, *, windows: bool = os.name == "nt") -> str:
    """The path of a file from the path of a URL: on Windows `/C:/app/x.db` means `C:/app/x.db`."""
    path = unquote(address)
    return path[1:] if windows and re.match("/[a-zA-Z]:/", path) else path


def shared_limiter(
    url: str,
    base_url: str,
    api_key: str,
    rates: tuple[RateLimit, ...],
    *,
    timeout: float,
    clock: Clock,
) -> SharedLimiter:
    """The limiter of that key at that service, as all who name the same URL share it.

    Raises `ConfigurationError` for a URL of no store.
    """
    place = location_of(url)
    store = StoreHandle((place.address, clock), lambda: place.store(clock))
    return SharedLimiter(
        store,
        key_hash(f"{base_url} {api_key}"),
        rates,
        timeout=timeout,
        clock=clock,
        local_share=place.local_share,
        new_state_pause=STATE_LOSS_PAUSE,
    )


def host_limiter(
    base_url: str,
    api_key: str,
    rates: tuple[RateLimit, ...],
    *,
    timeout: float,
    clock: Clock,
) -> Limiter:
    """The limiter that all programs of this user on this host share for that key.

    It is an SQLite file in the user's state folder (see `host_file`). Where that folder cannot be
    used, it is the limiter of this process.
    """
    key = key_hash(f"{base_url} {api_key}")
    file = host_file(key, clock)
    if file is None:
        return in_process_limiter(base_url, api_key, rates, clock)
    store = StoreHandle((file, clock), lambda: SqliteStore(file, clock))
    return SharedLimiter(store, key, rates, timeout=timeout, clock=clock)


def _local_share(on_outage: str, share: str | None) -> float | None:
    if on_outage not in {"error", "local"} or (share is not None and on_outage == "error"):
        raise ConfigurationError(
            "the limiter's URL may say on_outage=error or on_outage=local&local_share=0.25"
        )
    if on_outage == "error":
        return None
    try:
        part = _LOCAL_SHARE if share is None else float(share)
    except ValueError:
        part = 0.0
    if not 0.0 < part <= 1.0:
        raise ConfigurationError(
            f"the limiter's local_share={share} must be above 0 and at most 1: the part of the"
            " budget that each process may spend in an outage"
        )
    return part
