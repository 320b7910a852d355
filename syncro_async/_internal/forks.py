"""Tells what must not be shared with a forked child that it is in one now."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """What knows how to begin again in a child process."""

    def reset_after_fork(self) -> None:
        """Forget what belongs to the parent: its locks may be held, its sockets are in use.

        Called in the child, before anything else runs there.
        """


_known: WeakSet[Forkable] = WeakSet()


def register_for_fork(forkable: Forkable) -> None:
    """Have it start anew in every child forked from now on, for as long as it lives."""
    _known.add(forkable)


def _reset_all() -> None:
    for forkable in list(_known):
        forkable.reset_after_fork()


def _no_forks(**_: Any) -> None:
    """There is nothing to prepare for where processes do not fork."""


_register: Callable[..., None] = getattr(os, "register_at_fork", _no_forks)
_register(after_in_child=_reset_all)
