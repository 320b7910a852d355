"""Checks and shows the names of keyword arguments that are passed on in one mapping."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, TypeVar

from syncro_async.errors import UnknownArgumentError

F = TypeVar("F", bound=Callable[..., Any])


def check_names(call: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raise `UnknownArgumentError` for a name that `call` does not have, with similar names."""
    for name in given:
        if name not in known:
            similar = get_close_matches(name, known)
            hint = f"; similar names: {', '.join(similar)}" if similar else ""
            raise UnknownArgumentError(f"unknown argument {name!r} for {call}{hint}", argument=name)


def show_keywords(
    keys: type, defaults: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[F], F]:
    """Show every key of a TypedDict as a parameter of the function that takes `**Unpack[keys]`.

    `help()`, `inspect.signature` and the completion of notebooks read the signature that is set.
    `defaults`: the default of each key; None for those that it does not name.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        first = [each for each in own if each.kind is not each.KEYWORD_ONLY or not _optional(each)]
        last = [each for each in own if each not in first]
        shown = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(name),
                annotation=getattr(kind, "__forward_arg__", kind),
            )
            for name, kind in keys.__annotations__.items()
        ]
        vars(function)["__signature__"] = signature.replace(parameters=[*first, *shown, *last])
        return function

    return decorate


def _optional(parameter: inspect.Parameter) -> bool:
    return parameter.default is not parameter.empty
