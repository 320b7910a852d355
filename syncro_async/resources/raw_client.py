"""The client's calls with the answers that their results come from."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, Unpack, cast, overload

from syncro_async.models.page import Page
from syncro_async.models.raw_result import RawResult
from syncro_async.resources.account import RawAccount, RawUsers
from syncro_async.resources.custom_fields import RawCustomFields
from syncro_async.resources.leads import RawLeads
from syncro_async.resources.pipelines import RawPipelines
from syncro_async.resources.resource import TypedProperty, raw, raw_page
from syncro_async.resources.tasks import RawTasks
from syncro_async.resources.webhooks import RawWebhooks
from syncro_async.resources.whatsapp import RawWhatsApp
from syncro_async.transport.urls import RequestOptions

T = TypeVar("T")


def _raw(name: str, kind: type[T]) -> TypedProperty[T]:
    def get(own: RawClient) -> T:
        resource = getattr(own._client, name)  # noqa: SLF001  # the class is this module's
        found: T = resource.with_raw_response
        return found

    get.__annotations__ = {"return": kind}
    return TypedProperty(get, f"`client.{name}`, with a `RawResult` of each call.")


class RawClient:
    """The client's calls; each returns a `RawResult`, one of a list that of the first page.

    raw = await syncro.with_raw_response.request("GET", "/pipelines")
    print(raw.headers.get("date"), raw.parsed["success"])
    """

    leads = _raw("leads", RawLeads)
    tasks = _raw("tasks", RawTasks)
    pipelines = _raw("pipelines", RawPipelines)
    custom_fields = _raw("custom_fields", RawCustomFields)
    whatsapp = _raw("whatsapp", RawWhatsApp)
    account = _raw("account", RawAccount)
    users = _raw("users", RawUsers)
    webhooks = _raw("webhooks", RawWebhooks)

    def __init__(self, client: Any) -> None:
        self._client = client
        self.request = cast("RawRequest", raw(client.request))
        self.paginate: Callable[..., Coroutine[Any, Any, RawResult[Page[Any]]]] = raw_page(
            client.paginate
        )


class RawRequest(Protocol):
    """`client.request` with a `RawResult`."""

    @overload
    async def __call__(
        self,
        method: str,
        path: str,
        *,
        type: None = None,
        **options: Unpack[RequestOptions],
    ) -> RawResult[Any]: ...
    @overload
    async def __call__(
        self,
        method: str,
        path: str,
        *,
        type: type[T],
        **options: Unpack[RequestOptions],
    ) -> RawResult[T]: ...
