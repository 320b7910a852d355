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
        serialization=build.plain_serializer_function_ser_schema(_serialize, info_arg=True),
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


class _Sent(NamedTuple):
    """How a struct of one class is written: msgspec leaves out what is None by default in `copy`.

    `nested`: the positions of the fields whose structs must be copied too.
    """

    copy: Callable[..., Any]
    nested: tuple[int, ...]


# As the default of a field it is never its value, so the field is always written.
_NO_DEFAULT = object()


@cache
def _sent(kind: type[Any]) -> _Sent:
    """The copy of a struct class that omits a plain field that is None because it was not sent.

    msgspec omits defaults by itself, faster than they could be taken out of its result. The copy
    has no types: msgspec encodes by value.
    """
    info: Any = msgspec.inspect.type_info(kind)
    fields = [
        (part.name, Any, msgspec.field(default=None if part.default is None else _NO_DEFAULT))
        for part in info.fields
    ]
    names = {part.name: part.encode_name for part in info.fields}
    nested = tuple(at for at, part in enumerate(info.fields) if _may_hold_structs(part.type))
    copy = msgspec.defstruct(kind.__name__, fields, omit_defaults=True, rename=names, gc=False)
    return _Sent(copy, nested)


def _may_hold_structs(part: Any) -> bool:
    """Whether values of this type can be structs or lists of them. A type variable is `Any`."""
    match part:
        case msgspec.inspect.StructType() | msgspec.inspect.AnyType():
            return True
        case msgspec.inspect.UnionType(types=parts) | msgspec.inspect.TupleType(item_types=parts):
            return any(map(_may_hold_structs, parts))
        case msgspec.inspect.CollectionType(item_type=item):
            return _may_hold_structs(item)
        case _:
            return False


def _serialize(value: Any, info: SerializationInfo) -> Any:
    kept = () if info.mode == "json" else _KEPT_IN_PYTHON
    plain = msgspec.to_builtins(_as_sent(value), builtin_types=kept)
    if info.exclude_none:
        plain = {name: part for name, part in plain.items() if part is not None}
    if info.include is not None or info.exclude is not None:
        names: Any = {"include": info.include, "exclude": info.exclude}
        plain = _SELECTION.to_python(plain, **names)
    return plain


def _as_sent(value: Any) -> Any:
    """The value with each struct in the form in which it is written."""
    if isinstance(value, msgspec.Struct):
        copy, nested = _sent(type(value))
        parts = list(msgspec.structs.astuple(value))
        for at in nested:
            if parts[at] is not None and parts[at] is not msgspec.UNSET:
                parts[at] = _as_sent(parts[at])
        return copy(*parts)
    if isinstance(value, list | tuple):
        return [_as_sent(part) for part in value]
    return value
