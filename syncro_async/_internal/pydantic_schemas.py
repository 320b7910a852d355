"""The schemas of msgspec structs for pydantic, imported only when pydantic asks for one.

msgspec decodes and describes the structs; pydantic calls it, and keeps the schemas of nested
structs as components of their own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin

import msgspec
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SerializationInfo
from pydantic_core import PydanticCustomError, SchemaSerializer
from pydantic_core import core_schema as build

_TYPE = "syncro_async.type"
_SELECTION = SchemaSerializer(build.dict_schema())
_KEPT_IN_PYTHON = (bytes, date, datetime)
_NULL = {"type": "null"}
_EMPTY_LIST = {"type": "array", "maxItems": 0}


def core_schema(source: Any, handler: GetCoreSchemaHandler) -> build.CoreSchema:
    """The core schema of a struct.

    `source`: the class, or a generic one with its arguments (`Page[Lead]`). `handler`: pydantic's.
    """
    others = [kind for kind in _nested(source).values() if kind is not source]
    return build.no_info_wrap_validator_function(
        _validator(source),
        # This schema validates nothing. It makes the nested structs known to pydantic.
        build.tuple_positional_schema([handler.generate_schema(kind) for kind in others]),
        ref=_reference(source),
        metadata={_TYPE: source},
        serialization=build.plain_serializer_function_ser_schema(
            _serializer(source), info_arg=True
        ),
    )


def json_schema(schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """The JSON schema that belongs to a schema of `core_schema`.

    `schema`: the core schema. `handler`: pydantic's, which names the components.
    """
    source = schema["metadata"][_TYPE]
    own = build.definition_reference_schema(_reference(source))
    others = iter(handler(schema["schema"]).get("prefixItems", ()))
    references = {
        name: handler(own) if kind is source else next(others)
        for name, kind in _nested(source).items()
    }
    (reference,), schemas = msgspec.json.schema_components([source], ref_template="{name}")
    described = schemas.pop(reference["$ref"])
    # Named tuples have no hook of pydantic's, so they are described where they are.
    inline = {name: schema for name, schema in schemas.items() if name not in references}
    references |= {name: _describe(schema, references) for name, schema in inline.items()}
    return {
        **_describe(described, references),
        "description": inspect.cleandoc(described["description"]),
    }


def _reference(source: Any) -> str:
    """The name of a type in pydantic's definitions, which makes a component's name of it."""
    kind = get_origin(source) or source
    name = f"{kind.__module__}.{kind.__qualname__}:{id(kind)}"
    arguments = get_args(source)
    return f"{name}[{','.join(map(_reference, arguments))}]" if arguments else name


@cache
def _nested(source: Any) -> dict[str, Any]:
    """The structs that the fields of a struct name directly, by their name."""
    info: Any = msgspec.inspect.type_info(source)
    return {kind.__name__: kind for kind in _structs_in(tuple(part.type for part in info.fields))}


def _structs_in(part: Any) -> Iterator[Any]:
    if isinstance(part, tuple):
        for one in part:
            yield from _structs_in(one)
    elif isinstance(part, msgspec.inspect.StructType):
        yield part.cls
    elif isinstance(part, msgspec.inspect.Type):
        yield from _structs_in(msgspec.structs.astuple(part))


def _describe(schema: Any, references: dict[str, Any]) -> Any:
    """Msgspec's schema in the form that clients need.

    `references`: pydantic's reference to each nested struct. A field that is left out when it is
    None is never null. The list without items stands for PHP's empty map, which is never sent.
    Bounds of a number that only exclude infinity are left out.
    """
    if isinstance(schema, list):
        return [_describe(part, references) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {**references[schema["$ref"]]}
    described: dict[str, Any] = {
        key: {name: _describe(one, references) for name, one in part.items()}
        if key == "properties"
        else _describe(part, references)
        for key, part in schema.items()
    }
    if abs(described.get("minimum", 0)) == sys.float_info.max:
        del described["minimum"], described["maximum"]
    unsent: list[Any] = [_EMPTY_LIST]
    if "default" in described and described["default"] is None:
        del described["default"]
        unsent.append(_NULL)
    if "anyOf" in described:
        described["anyOf"] = [part for part in described["anyOf"] if part not in unsent]
        if len(described["anyOf"]) == 1:
            described.update(*described.pop("anyOf"))
    return described


def _validator(source: Any) -> Callable[[Any, Any], Any]:
    kind = get_origin(source) or source

    def validate(value: Any, _: Any) -> Any:
        if isinstance(value, kind):
            return value
        try:
            return msgspec.convert(value, source, strict=False)
        except msgspec.ValidationError as error:
            raise PydanticCustomError("struct", "{reason}", {"reason": str(error)}) from error

    return validate


class _Shape(NamedTuple):
    """Which fields of a struct are written also when they are None, and which hold structs."""

    nullable: frozenset[str]
    nested: dict[str, _Shape]


@cache
def _shape(source: Any) -> _Shape:
    nested: dict[str, _Shape] = {}
    info: Any = msgspec.inspect.type_info(source)
    shape = _Shape(frozenset(part.name for part in info.fields if part.default is not None), nested)
    for part in info.fields:
        for kind in _structs_in(part.type):
            nested[part.name] = shape if kind is source else _shape(kind)
    return shape


def _serializer(source: Any) -> Callable[[Any, SerializationInfo], Any]:
    shape = _shape(source)

    def serialize(value: Any, info: SerializationInfo) -> Any:
        kept = () if info.mode == "json" else _KEPT_IN_PYTHON
        plain = _without_none(msgspec.to_builtins(value, builtin_types=kept), shape)
        if info.exclude_none:
            plain = {name: part for name, part in plain.items() if part is not None}
        if info.include is not None or info.exclude is not None:
            names: Any = {"include": info.include, "exclude": info.exclude}
            plain = _SELECTION.to_python(plain, **names)
        return plain

    return serialize


def _without_none(plain: Any, shape: _Shape) -> Any:
    """The same without the fields that are None because they were not sent."""
    if isinstance(plain, list | tuple):
        return [_without_none(part, shape) for part in plain]
    if not isinstance(plain, dict):
        return plain
    nullable, nested = shape
    kept = {name: part for name, part in plain.items() if part is not None or name in nullable}
    for name in nested.keys() & kept.keys():
        kept[name] = _without_none(kept[name], nested[name])
    return kept
