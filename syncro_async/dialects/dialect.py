"""How one service differs from another, as values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Literal, TypeVar

from syncro_async._internal.known_keys import remember_variable
from syncro_async.dialects.pagination import Paging
from syncro_async.errors import APIError, ConfigurationError, MissingResourceError
from syncro_async.limiting.rate_limit import RateLimit

# RFC 9110, 5.6.2.
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


# The names of release 0.1.
_EARLIER_NAMES = {
    "uncounted": "uncounted_statuses",
    "pause_without_time": "default_retry_after",
    "shortest_pause": "min_retry_after",
}
D = TypeVar("D")


def accept_earlier_names(kind: type[D]) -> type[D]:
    """Let the constructor of a dialect accept the field names of release 0.1 as well."""
    init: Callable[..., None] = kind.__init__

    def accepting(self: object, *values: Any, **fields: Any) -> None:
        for earlier, name in _EARLIER_NAMES.items():
            if earlier in fields:
                fields[name] = fields.pop(earlier)
        init(self, *values, **fields)

    vars(accepting)["__signature__"] = signature(init)
    type.__setattr__(kind, "__init__", accepting)
    return kind


@accept_earlier_names
@dataclass(frozen=True, slots=True)
class Dialect:
    """A service: where it is, how it knows a key, what it allows, and how it says no.

        acme = Dialect(
            name="Acme",
            environment="ACME",
            base_url="https://api.acme.example/v1",
            key_header="Authorization",
            key_scheme="Bearer ",
            rates=(RateLimit(100, 60.0),),
        )
        client = AsyncClient("key", dialect=acme)

    `name` is for messages, `base_url` where its API is, and `rates` are its limits, which all hold
    at once. `environment` is the prefix of its variables (`SYNCRO` → `SYNCRO_API_KEY`,
    `SYNCRO_BASE_URL`, `SYNCRO_LIMITER`), so that one service's key never goes to another. The key
    travels as `key_header: key_scheme + key`. Answers with a status in `uncounted_statuses` take
    nothing from the budget. `default_retry_after` (s) is the pause after a 429 that names no usable
    time (None: the longest window + 1 s). No pause after a 429 is shorter than `min_retry_after`
    (s). The names of these three in release 0.1 (`uncounted`, `pause_without_time`,
    `shortest_pause`) still work, for reading, in the constructor and in `dataclasses.replace`.

    `key_reasons` and `suspended` are the messages of a 401 and a 403 that say why. `codes` maps
    the service's codes to exceptions where the status alone does not tell; each has to be the
    exception of its status or a child of it. `advice` says what to do about a code.
    `not_processed` holds the codes that the service documents as "the request was not processed":
    after one of them every call may be sent again, also a write that must not be repeated.

    `paging` is how lists come (None: each call must name it). `headers` and `params` go
    with every request; a parameter of the call itself has precedence. `resources` names the
    properties of the client, such as `leads`, that the service has.

    Raises `ConfigurationError` for headers that cannot be sent.
    """

    name: str
    environment: str
    base_url: str
    key_header: str
    rates: tuple[RateLimit, ...]
    key_scheme: str = ""
    uncounted_statuses: frozenset[int] = frozenset()
    default_retry_after: float | None = None
    min_retry_after: float = 0.0
    key_reasons: Mapping[str, Literal["missing", "invalid", "expired"]] = field(
        default_factory=dict
    )
    suspended: frozenset[str] = frozenset()
    codes: Mapping[str, type[APIError]] = field(default_factory=dict)
    advice: Mapping[str, str] = field(default_factory=dict)
    not_processed: frozenset[str] = frozenset()
    paging: Paging | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    resources: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        remember_variable(f"{self.environment}_API_KEY")
        given: Mapping[str, object] = self.headers
        for name, value in given.items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() == self.key_header.lower():
                raise ConfigurationError(f"{self.name}: {name!r} cannot be a header of its own")
            text = value if isinstance(value, str) else ""
            if not (text and text == text.strip() and text.isascii() and text.isprintable()):
                raise ConfigurationError(
                    f"{self.name}: {name} must be printable ASCII, without blanks around it,"
                    f" not {value!r}"
                )

    @property
    def uncounted(self) -> frozenset[int]:
        """`uncounted_statuses`, by its name of release 0.1."""
        return self.uncounted_statuses

    @property
    def pause_without_time(self) -> float | None:
        """`default_retry_after`, by its name of release 0.1."""
        return self.default_retry_after

    @property
    def shortest_pause(self) -> float:
        """`min_retry_after`, by its name of release 0.1."""
        return self.min_retry_after

    def fallback_pause(self, rates: tuple[RateLimit, ...]) -> float:
        """The pause after a 429 that names no usable time (s).

        - `rates`: the limits of the client.
        """
        if self.default_retry_after is not None:
            return self.default_retry_after
        return max(rate.seconds for rate in rates) + 1.0

    def paging_of(self, given: Paging | None = None) -> Paging:
        """How a list is paged: as its call says, else as the lists of this service are.

        Raises `ConfigurationError` when neither says it.

        - `given`: what the call says.
        """
        paging = given or self.paging
        if paging is None:
            raise ConfigurationError(
                f"{self.name} does not document how its lists are paged; give the names of the"
                " query parameter and of the field of its cursor, for example"
                " paging=Cursor(query='cursor', field='meta.nextCursor')"
            )
        return paging

    def check_resource(self, name: str) -> None:
        """Raise `MissingResourceError` for a property of the client that the service does not have.

        - `name`: the property, for instance `leads`.
        """
        if name not in self.resources:
            has = ", ".join(sorted(self.resources)) or "request() and paginate() for any path"
            raise MissingResourceError(f"{self.name} has no {name}; its client offers {has}")
