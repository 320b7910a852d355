"""The lane of a stretch of code: `with lane("bulk"):`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from syncro_async.errors import ConfigurationError
from syncro_async.limiting.limiter import Lane

LANES: tuple[Lane, ...] = ("interactive", "bulk")

_chosen: ContextVar[Lane | None] = ContextVar("syncro_async_lane", default=None)


@contextmanager
def lane(name: Lane) -> Iterator[None]:
    """Calls made inside go in that lane, whatever client they are made with.

    It holds for the tasks started inside too, and for whatever functions are called there; only a
    view made by `with_options(lane=…)` keeps its own. Raises `ConfigurationError` for no lane.

        with lane("bulk"):
            await nightly_job(syncro)
    """
    token = _chosen.set(checked_lane(name))
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen_lane() -> Lane | None:
    """The lane of the code that runs; None outside every `with lane(…)`."""
    return _chosen.get()


def checked_lane(name: Lane) -> Lane:
    """The same lane. Raises `ConfigurationError` for what is none."""
    if name not in LANES:
        raise ConfigurationError(f"lane={name!r} must be one of {', '.join(LANES)}")
    return name
