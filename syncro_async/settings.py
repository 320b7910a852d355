"""The settings of a client, checked once and then frozen."""

from __future__ import annotations

import os
import ssl
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast
from urllib.parse import urlsplit, urlunsplit

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async._internal.checks import is_int, is_number
from syncro_async._internal.known_keys import holds_key, looks_like_key, remember_key
from syncro_async._internal.plain_text import shown
from syncro_async.clock import Clock, SystemClock
from syncro_async.dialects.dialect import Dialect
from syncro_async.errors import ConfigurationError
from syncro_async.events import Observer, Observers
from syncro_async.limiting.context import checked_lane
from syncro_async.limiting.protocol import Lane, Limiter
from syncro_async.limiting.rate_limit import RateLimit, as_rates
from syncro_async.limiting.registry import in_process_limiter, keep_alive_for, key_hash
from syncro_async.limiting.service_name import service_name
from syncro_async.retrying.policy import RetryPolicy
from syncro_async.transport.messages import CallOptions
from syncro_async.transport.pipeline import ClientConfig, Pipeline
from syncro_async.transport.redaction import ApiKey
from syncro_async.transport.rotating_key import AskKey, RotatingPipeline

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

    from syncro_async.transport.http_engine import Transport
else:
    AsyncLimiter = Transport = Any  # loaded on first use

# Numbers of seconds beyond it overflow the timers of an event loop.
_FOREVER = 1e9

_SYSTEM_CLOCK = SystemClock()
_METHODS_OF_A_CLOCK = ("monotonic", "wall", "sleep", "call_at")

MEMORY = "memory://"
# One budget for all programs of this user on this machine.
HOST = "host"


class SharedOptions(TypedDict, total=False):
    """The options of `AsyncClient` that are the same for every server."""

    dialect: Dialect
    rate_limit: RateLimit | Sequence[RateLimit] | None
    limiter: str | Limiter | AsyncLimiter | None
    lane: Lane
    max_wait: float | None
    retry: RetryPolicy | None
    timeout: float
    max_connections: int
    observers: Iterable[Observer]
    engine: Literal["httpx", "httpx2"] | None


class ClientOptions(SharedOptions, total=False):
    """The options of `AsyncClient`, for functions that pass them on."""

    api_key: str | AskKey | None
    base_url: str | None
    transport: Transport | None
    tls: ssl.SSLContext | None
    clock: Clock | None


@dataclass(frozen=True, slots=True)
class Settings:
    """What stays for a client's whole life, and what `with_options` may change."""

    config: ClientConfig
    options: CallOptions


def key_source(given: str | AskKey | None, dialect: Dialect) -> ApiKey | AskKey:
    """The function given, the key given, or the key of the dialect's environment variable.

    Raises `ConfigurationError` when there is none, or when it cannot be one.
    """
    try:
        if not isinstance(dialect, Dialect):
            raise ConfigurationError(f"dialect must be a Dialect, not {type(dialect).__name__}")
        return given if callable(given) else api_key_from(given, dialect)
    finally:
        del given  # an error's traceback holds this frame


def api_key_from(given: object, dialect: Dialect) -> ApiKey:
    """The key given, or the one of the dialect's environment variable.

    Raises `ConfigurationError` when there is none, or when it cannot be one.
    """
    variable = f"{dialect.environment}_API_KEY"
    key: object = given if given is not None else os.environ.get(variable, "")
    if not isinstance(key, str):
        raise ConfigurationError(f"the API key must be a str, not {type(key).__name__}")
    if not key.strip():
        raise ConfigurationError(
            ArgumentText(
                f"no API key for {dialect.name}: set {variable}",
                Argument("api_key", "…", lead=" or give "),
            )
            if given is None
            else f"the API key for {dialect.name} is blank"
        )
    try:
        checked = ApiKey(key)
        remember_key(key)
    finally:
        del given, key  # an error's traceback holds this frame
    return checked


def account_of(source: ApiKey | AskKey) -> str:
    """Return what the files of bulk jobs hold of the key: its hash, or the name of its function."""
    if isinstance(source, ApiKey):
        return key_hash(source.reveal())
    name = getattr(source, "__qualname__", type(source).__qualname__)
    return f"{getattr(source, '__module__', '')}.{name}"


def asked_key(given: object, dialect: Dialect) -> ApiKey:
    """The key that a function gave; the environment is not asked instead.

    Raises `ConfigurationError` when it cannot be a key.
    """
    try:
        if given is None:
            raise ConfigurationError(
                f"the function given as api_key returned None instead of a key for {dialect.name}"
            )
        return api_key_from(given, dialect)
    finally:
        del given  # an error's traceback holds this frame


def base_url_from(given: str | None, dialect: Dialect) -> str:
    """The base URL given, of the environment, or of the dialect, without a slash at its end.

    Raises `ConfigurationError` for what is no http(s) URL of a host. Warns about plain `http://`
    to another machine, where everybody on the way can read the key.
    """
    url: object = given or os.environ.get(f"{dialect.environment}_BASE_URL") or dialect.base_url
    if not isinstance(url, str):
        raise ConfigurationError(
            ArgumentText(Argument("base_url"), f" must be a str, not {type(url).__name__}")
        )
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
        usable = known and not any(character.isspace() for character in url)
    except ValueError:
        usable = None
    if not usable:
        raise ConfigurationError(_no_base_url(url, dialect))
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError(
            ArgumentText(Argument("base_url"), " may hold no password, query or fragment")
        )
    if holds_key(url):
        # It would be shown where the address of the server is.
        raise ConfigurationError(
            ArgumentText(
                Argument("base_url"),
                " holds what looks like an API key, so it is not shown here; take the key out of"
                f" it: the client sends {dialect.environment}_API_KEY in a header",
            )
        )
    if parts.scheme == "http" and not _is_loopback(str(parts.hostname)):
        warnings.warn(
            f"the base URL {shown(url)} is not encrypted: everybody on the way can read the API"
            " key",
            UserWarning,
            stacklevel=3,
        )
    # One spelling for one server: the budget is kept for the base URL and the key.
    standard = ":443" if parts.scheme == "https" else ":80"
    netloc = parts.netloc.lower().removesuffix(standard)
    return urlunsplit(parts._replace(netloc=netloc)).rstrip("/")


def _no_base_url(url: str, dialect: Dialect) -> ArgumentText:
    """The message for a text that is no base URL; a key is often in its place."""
    example = f" must look like {dialect.base_url!r}"
    if not looks_like_key(url):
        if "@" in url and "//" not in url:  # without a scheme it may be a password all the same
            url = f"***@{url.rpartition('@')[2]}"
        return ArgumentText(Argument("base_url", shown(url)), example)
    prefix = dialect.environment
    return ArgumentText(
        Argument("base_url"),
        f"{example}, and its value looks like an API key, so it is not shown here; check whether"
        f" {prefix}_API_KEY and {prefix}_BASE_URL are swapped",
    )


def rates_from(
    given: RateLimit | Sequence[RateLimit] | None, dialect: Dialect
) -> tuple[RateLimit, ...]:
    """The limits given, those of the environment (`CALLS/SECONDS`), or the dialect's.

    Raises `ConfigurationError` for what is no limit, and names the variable when it comes from it.
    """
    if given is not None:
        return as_rates(given)
    variable = f"{dialect.environment}_RATE_LIMIT"
    text = os.environ.get(variable, "").strip()
    if not text:
        return as_rates(dialect.rates)
    calls, _, seconds = text.partition("/")
    try:
        return (RateLimit(int(calls), float(seconds)),)
    except (ValueError, ConfigurationError):
        raise ConfigurationError(
            f"{variable}={shown(text)} must be CALLS/SECONDS, two numbers above 0, for example"
            " 60/60"
        ) from None  # the cause shows the text whole


def locale_from(dialect: Dialect) -> str | None:
    """The locale of the files that jobs read, of the environment; None where it is not set."""
    return os.environ.get(f"{dialect.environment}_LOCALE", "").strip() or None


def clock_from(given: object) -> Clock:
    """The clock given, or that of the machine. Raises `ConfigurationError` for what is none."""
    if given is None:
        return _SYSTEM_CLOCK
    if not all(callable(getattr(given, name, None)) for name in _METHODS_OF_A_CLOCK):
        raise ConfigurationError(
            f"clock={shown(given)} must have the methods {', '.join(_METHODS_OF_A_CLOCK)}"
        )
    return cast("Clock", given)


def connections_from(given: int) -> int:
    """The same number. Raises `ConfigurationError` for what is no number of connections."""
    if not (is_int(given) and given >= 1):
        raise ConfigurationError(
            f"max_connections={shown(given)} must be a whole number, 1 or more"
        )
    return given


def checked_options(options: CallOptions) -> CallOptions:
    """The same options. Raises `ConfigurationError` for those that cannot work."""
    checked_lane(options.lane)
    if options.max_wait is not None and not (is_number(options.max_wait) and options.max_wait >= 0):
        raise ConfigurationError(
            f"max_wait={shown(options.max_wait)} must be 0 or more seconds, or None"
        )
    timeout = options.timeout
    if not (is_number(timeout) and 0 < timeout < _FOREVER):
        raise ConfigurationError(f"timeout={shown(timeout)} must be a number of seconds above 0")
    if not isinstance(options.retry, RetryPolicy):
        raise ConfigurationError(f"retry must be a RetryPolicy, not {type(options.retry).__name__}")
    return options


def limiter_from(given: object, config: ClientConfig, *, timeout: float) -> Limiter:
    """Return the limiter that is given, or that of the URL, or of the environment's URL.

    `timeout` is how long a request may last (s). Raises `ConfigurationError` for an unknown URL:
    a client that cannot find its limiter must not send without one.
    """
    if given is not None and not isinstance(given, str):
        from syncro_async.limiting.adapters import limiter_object  # noqa: PLC0415

        return limiter_object(given, config.clock)
    url = given or os.environ.get(f"{config.dialect.environment}_LIMITER") or MEMORY
    service, rates, clock = service_name(config.base_url), config.rates, config.clock
    try:
        # "host" coordinates programs that send real requests in real time.
        simulated = config.wire.transport is not None or not isinstance(clock, SystemClock)
        if url == MEMORY or (url == HOST and simulated):
            return in_process_limiter(service, config.api_key.reveal(), rates, clock)
        # Here and not above: most programs need neither databases nor Redis for it.
        from syncro_async.limiting.from_url import host_limiter, shared_limiter  # noqa: PLC0415

        shared = host_limiter if url == HOST else partial(shared_limiter, url)
        return shared(service, config.api_key.reveal(), rates, timeout=timeout, clock=clock)
    except ConfigurationError as error:
        raise error.with_traceback(None) from None  # its frame holds the key


def pipeline_from(
    source: ApiKey | AskKey,
    config: ClientConfig,
    limiter: object,
    emit: Observers,
    *,
    timeout: float,
) -> Pipeline | RotatingPipeline:
    """The pipeline of the key, or one that asks the function for its keys; observers watch it."""
    wire = replace(config.wire, shared=not isinstance(source, ApiKey))

    def of_key(key: ApiKey) -> Pipeline:
        own = replace(config, api_key=key, wire=wire)
        found = limiter_from(limiter, own, timeout=timeout)
        pipeline = Pipeline(own, found, emit)
        keep_alive_for(pipeline, found)
        return pipeline

    pipeline = (
        of_key(source)
        if isinstance(source, ApiKey)
        else RotatingPipeline(source, partial(asked_key, dialect=config.dialect), of_key, config)
    )
    emit.watch(config.base_url, pipeline)
    return pipeline


def check_dialect_variant(kept: Dialect, given: object) -> Dialect:
    """The dialect given, which is the one kept but for its headers, parameters and paging.

    Raises `ConfigurationError` for any other: it would get this one's key and budget.
    """
    if isinstance(given, Dialect) and given == replace(
        kept, headers=given.headers, params=given.params, paging=given.paging
    ):
        return given
    raise ConfigurationError(
        f"a client of {kept.name} can only change to other headers, params or paging;"
        " for another service or plan make a client of its own"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
