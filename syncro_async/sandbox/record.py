"""One lead as the sandbox keeps it."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class LeadRecord(dict[str, Any]):
    """The fields of a lead, with the JSON they were last sent as.

    Set fields by item (`record["name"] = ...`): that forgets the JSON. Lists and maps inside are
    replaced, never changed in place. `updated_at`, `assigned_to`, `score` and `score_updated_at`
    are kept here too, though an answer shows them only on request or never.
    """

    __slots__ = ("encoded",)

    encoded: dict[frozenset[str], msgspec.Raw]
    # How often any lead got another address: what is kept by address is then out of date.
    moves: ClassVar[int] = 0

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.encoded = {}

    def __setitem__(self, name: str, value: Any) -> None:
        if name in {"email", "phone"} and self.get(name) != value:
            LeadRecord.moves += 1
        super().__setitem__(name, value)
        self.encoded.clear()
