"""Checks the names of keyword arguments that are passed on in one mapping."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from syncro_async.errors import UnknownArgumentError


def check_names(call: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raise `UnknownArgumentError` for a name that `call` does not have, with similar names."""
    for name in given:
        if name not in known:
            similar = get_close_matches(name, known)
            hint = f"; similar names: {', '.join(similar)}" if similar else ""
            raise UnknownArgumentError(f"{call} has no argument {name!r}{hint}", argument=name)
