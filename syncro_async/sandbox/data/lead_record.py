"""One lead as the sandbox keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import msgspec


class LeadRecord(dict[str, Any]):
    """The fields of a lead, with the JSON they were last sent as.

    Set fields by item (`record["name"] = ...`): that forgets the JSON. Lists and maps inside are
    replaced, never changed in place. `updated_at`, `assigned_to`, `score` and `score_updated_at`
    are kept here too, though an answer shows them only on request or never.
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
        for tell in self.listeners:
            tell(self, name)
