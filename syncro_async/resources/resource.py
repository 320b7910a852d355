"""What every resource of the client is made of, and how its calls return the raw answer too."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from syncro_async.errors import InvalidArgumentError
from syncro_async.events import ItemUnreadable
from syncro_async.models.page import Page
from syncro_async.models.raw_result import Headers, RawResult
from syncro_async.paging.paginator import Paginator
from syncro_async.resources.arguments import PageRange
from syncro_async.resources.name_cache import NameCache
from syncro_async.transport.messages import CallState, RawResponse, SendCall

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

Emit = Callable[[ItemUnreadable], object]
"""Reports an item that could not be read to the log and to the observers of the client."""


class MakePaginator(Protocol):
    """Makes the paginator of a list; nothing is sent before its first item is asked for."""

    def __call__(
        self, path: str, query: Mapping[str, Any], item: type[T], part: PageRange, /
    ) -> Paginator[T]:
        """Page through `path` with this `query`."""
        ...


class Record:
    """Keeps the last answer of a call, and how the call got it."""

    def __init__(self) -> None:
        self._last: tuple[CallState[Any], RawResponse] | None = None

    def __call__(self, state: CallState[Any], response: RawResponse) -> None:
        """Keep this one."""
        self._last = state, response

    def result(self, parsed: T) -> RawResult[T]:
        """The answer with what was made of it."""
        if self._last is None:
            raise InvalidArgumentError(
                "max_items=0 leaves nothing to be sent, so there is no answer", argument="max_items"
            )
        state, response = self._last
        return RawResult(
            response.status,
            Headers(response.headers),
            response.content,
            state.attempts,
            state.waited,
            parsed,
        )


@dataclass(frozen=True, slots=True)
class Calls:
    """What a resource needs of the client.

    `names` keeps lists for a while. `recording` makes the same for calls whose answers go to a
    record.
    """

    send: SendCall
    paginate: MakePaginator
    emit: Emit
    names: NameCache
    recording: Callable[[Record], Calls]


class Resource:
    """The calls of one group of endpoints."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._send = calls.send
        self._paginate = calls.paginate
        self._emit = calls.emit
        self._names = calls.names

    def _recording(self, record: Record) -> Self:
        """The same calls, whose answers go to the record as well."""
        return type(self)(self._calls.recording(record))


def _recording_of(method: Any, record: Record) -> Any:
    return method.__self__._recording(record)  # noqa: SLF001  # client and resources offer it here


def raw(
    call: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, RawResult[T]]]:
    """The same call of a client or resource, which returns a `RawResult`."""
    method = cast("Any", call)

    @wraps(call)
    async def with_answer(*args: P.args, **kwargs: P.kwargs) -> RawResult[T]:
        record = Record()
        parsed = await method.__func__(_recording_of(method, record), *args, **kwargs)
        return record.result(parsed)

    vars(with_answer)["__signature__"] = signature(call)
    return with_answer


def raw_page(
    call: Callable[P, Paginator[T]],
) -> Callable[P, Coroutine[Any, Any, RawResult[Page[T]]]]:
    """The first page of the same call, as a `RawResult`."""
    method = cast("Any", call)

    @wraps(call)
    async def with_answer(*args: P.args, **kwargs: P.kwargs) -> RawResult[Page[T]]:
        record = Record()
        found = method.__func__(_recording_of(method, record), *args, **kwargs)
        async with aclosing(found.pages()) as pages:
            return record.result(await anext(pages, cast("Any", None)))

    vars(with_answer)["__signature__"] = signature(call)
    return with_answer


class TypedProperty(property, Generic[R]):
    """A property made by a function; type checkers know what it returns."""

    def __init__(self, get: Callable[[Any], R], about: str) -> None:
        get.__doc__ = about
        super().__init__(get)
        self.__doc__ = about  # of a subclass, Python would show the docstring above

    if TYPE_CHECKING:

        @overload
        def __get__(self, client: None, owner: type | None = None) -> Self: ...
        @overload
        def __get__(self, client: object, owner: type | None = None) -> R: ...
        def __get__(self, client: object, owner: type | None = None) -> Any: ...


def resource_property(name: str, kind: Callable[[Calls], R]) -> TypedProperty[R]:
    """A property of the client that makes the resource, with the docstring of its class.

    It raises `MissingResourceError` for a service without it, which `hasattr` understands.
    """

    def get(client: Any) -> R:
        calls: Calls = client._calls_of(name)  # noqa: SLF001  # what the client offers to this
        return kind(calls)

    get.__name__ = name
    get.__annotations__ = {"return": kind}
    return TypedProperty(get, str(kind.__doc__))
