"""Names the columns of a lead in files and databases."""

from __future__ import annotations

from syncro_async.models.lead import Lead
from syncro_async.paging.columns import Field, Kind, fields_of

__all__ = ["COLUMNS", "Column", "Kind"]

Column = Field

COLUMNS: tuple[Column, ...] = fields_of(Lead)
"""Every field of `Lead`, also those that were not requested, in its order."""
