"""The custom field: what an account keeps of its leads beyond the fields every lead has."""

from __future__ import annotations

from syncro_async.models import base
from syncro_async.models.types import FieldType


class CustomField(base.Model, frozen=True, kw_only=True):
    """The definition of a custom field (API reference, 'Custom fields').

    - `id`: its id; `name`: its key in a lead's `custom_fields`; `label`: what people see.
    - `field_type`: what its values are: `text`, `number`, `currency`, `date` (`YYYY-MM-DD`),
      `select` (one of `options`), `multiselect` (a list of them) or `checkbox` (a bool).
    - `options`: the values of a select or multiselect.
    - `is_required`, `is_active`: whether it must be filled, and whether it is in use.
    - `show_on_card`, `sort_order`: whether and where it is shown.
    """

    id: int
    name: str | None = None
    label: str | None = None
    field_type: FieldType | None = None
    options: list[str] | None = None
    is_required: bool | None = None
    is_active: bool | None = None
    show_on_card: bool | None = None
    sort_order: int | None = None
