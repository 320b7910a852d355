"""The parent of every struct that a call or a job returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from syncro_async._internal.html import record_table

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler


class Model(msgspec.Struct, frozen=True):
    """A struct that notebooks show as a table, and that FastAPI and pydantic accept as it is.

    A handler of FastAPI may return it (`-> Lead`, `-> list[Lead]`, `-> Page[Lead]`), take it as a
    body (`Annotated[Lead, Body()]`), and a pydantic model may have a field of it. In its JSON a
    plain field that is None is left out, because the API does not distinguish a missing field from
    null. pydantic is loaded only when it asks for a schema.
    """

    _repr_html_ = record_table

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Return the schema that pydantic validates and serializes by ('Custom types')."""
        from syncro_async._internal.pydantic_schemas import core_schema  # noqa: PLC0415

        return core_schema(source, handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        """Return the JSON schema, for OpenAPI ('JSON schema' in pydantic's documentation)."""
        from syncro_async._internal.pydantic_schemas import json_schema  # noqa: PLC0415

        return json_schema(schema, handler)
