"""The stored record of one lead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import msgspec


class LeadRecord(dict[str, Any]):
    """The fields of a lead, with a cache of its JSON.

    Set fields by item (`record["name"] = ...`): that clears the cache. Replace lists and maps,
    never change them in place. `updated_at`, `assigned_to`, `score` and `score_updated_at` are
    stored here too, although a response contains them only with `include`, or never.
    """

    __slots__ = ("encoded", "listeners")

    encoded: dict[frozenset[str], msgspec.Raw]
    listeners: tuple[Callable[[LeadRecord, str], object], ...]

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.encoded = {}
        self.listeners = ()

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self.encoded.clear()
        for listener in self.listeners:
            listener(self, name)
