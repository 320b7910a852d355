"""Serialization of leads for responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncro_async.sandbox.data.account import PIPELINES, STAGES

if TYPE_CHECKING:
    from syncro_async.sandbox.data.lead_record import LeadRecord

_COPIED = (
    *("id", "name", "phone", "email", "company", "birthday", "value", "source", "tags"),
    *("pipeline_id", "stage_id", "notes"),
    *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
)
CREATED_FIELDS = (
    *("id", "name", "pipeline_id", "stage_id", "stage", "pipeline", "created_at", "custom_fields"),
)
BRIEF_FIELDS = ("id", "name", "stage_id")


@dataclass(frozen=True, slots=True)
class Serializer:
    """Formats values plainly, or with the quirks of a PHP application."""

    quirks: bool

    def decimal(self, value: Any) -> Any:
        """A number; with quirks a numeric string."""
        if self.quirks and isinstance(value, float):
            return f"{value:.2f}"
        return value

    def moment(self, value: str | None) -> str | None:
        """A datetime; with quirks in microseconds."""
        if self.quirks and value is not None:
            return value.replace("Z", ".000000Z")
        return value

    def mapping(self, value: dict[str, Any]) -> dict[str, Any] | list[Any]:
        """An object; with quirks an empty one is a list."""
        return [] if self.quirks and not value else value

    def undocumented_fields(self) -> dict[str, Any]:
        """Fields that are not documented; only with quirks."""
        return {"sandbox_extra": {"since": "today"}} if self.quirks else {}

    def lead(self, lead: LeadRecord) -> dict[str, Any]:
        """The base format of a lead (API reference, 'Leads')."""
        fields = {name: lead[name] for name in _COPIED}
        fields["value"] = self.decimal(lead["value"])
        fields["stage"] = {"id": lead["stage_id"], "name": STAGES[lead["stage_id"]].name}
        fields["pipeline"] = {"id": lead["pipeline_id"], "name": PIPELINES[lead["pipeline_id"]]}
        fields["created_at"] = self.moment(lead["created_at"])
        fields["custom_fields"] = self.mapping(lead["custom_fields"])
        fields.update(self.undocumented_fields())
        return fields

    def detail(self, lead: LeadRecord) -> dict[str, Any]:
        """The lead in the response for one lead: the base format, with quirks only a part of it."""
        return self.some(lead, BRIEF_FIELDS) if self.quirks else self.lead(lead)

    def some(self, lead: LeadRecord, names: tuple[str, ...]) -> dict[str, Any]:
        """Some fields of a lead."""
        fields = self.lead(lead)
        return {name: fields[name] for name in names} | self.undocumented_fields()
