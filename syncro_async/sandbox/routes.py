"""The routing table with every call of the API reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from syncro_async.sandbox.handlers.account import (
    list_instances,
    list_pipelines,
    list_templates,
    list_users,
    show_account,
)
from syncro_async.sandbox.handlers.custom_fields import list_custom_fields
from syncro_async.sandbox.handlers.leads import (
    add_tags,
    create_lead,
    delete_lead,
    get_lead,
    list_leads,
    mark_lost,
    mark_won,
    move_lead,
    remove_tag,
    upsert_lead,
)
from syncro_async.sandbox.handlers.messaging import enroll, send_template, send_whatsapp, unenroll
from syncro_async.sandbox.handlers.tasks import create_task, list_tasks
from syncro_async.sandbox.handlers.webhooks import (
    create_webhook,
    delete_webhook,
    get_webhook,
    list_webhooks,
    update_webhook,
)

if TYPE_CHECKING:
    from syncro_async.sandbox.request import ApiRequest
    from syncro_async.sandbox.responses import Response


@dataclass(frozen=True, slots=True)
class Route:
    """One call: method, path (`*` for a variable segment), permission and handler."""

    method: str
    path: str
    permission: str
    handler: Callable[[ApiRequest], Response]


ROUTES = (
    Route("GET", "/account", "users:read", show_account),
    Route("GET", "/users", "users:read", list_users),
    Route("GET", "/pipelines", "pipelines:read", list_pipelines),
    Route("GET", "/whatsapp/instances", "whatsapp:read", list_instances),
    Route("GET", "/whatsapp/templates", "whatsapp:read", list_templates),
    Route("GET", "/tasks", "tasks:read", list_tasks),
    Route("POST", "/tasks", "tasks:write", create_task),
    Route("GET", "/webhooks", "webhooks:read", list_webhooks),
    Route("POST", "/webhooks", "webhooks:write", create_webhook),
    Route("GET", "/webhooks/*", "webhooks:read", get_webhook),
    Route("PUT", "/webhooks/*", "webhooks:write", update_webhook),
    Route("DELETE", "/webhooks/*", "webhooks:write", delete_webhook),
    Route("GET", "/leads", "leads:read", list_leads),
    Route("POST", "/leads", "leads:write", create_lead),
    Route("POST", "/leads/upsert", "leads:write", upsert_lead),
    Route("GET", "/leads/*", "leads:read", get_lead),
    Route("DELETE", "/leads/*", "leads:write", delete_lead),
    Route("PUT", "/leads/*/stage", "leads:write", move_lead),
    Route("PUT", "/leads/*/won", "leads:write", mark_won),
    Route("PUT", "/leads/*/lost", "leads:write", mark_lost),
    Route("POST", "/leads/*/tags", "leads:write", add_tags),
    Route("DELETE", "/leads/*/tags/*", "leads:write", remove_tag),
    Route("POST", "/leads/*/enroll-sequence", "sequences:write", enroll),
    Route("DELETE", "/leads/*/enroll-sequence/*", "sequences:write", unenroll),
    Route("POST", "/leads/*/send-whatsapp", "whatsapp:write", send_whatsapp),
    Route("POST", "/leads/*/send-whatsapp-template", "whatsapp:write", send_template),
    Route("GET", "/custom-fields", "custom_fields:read", list_custom_fields),
)
_PATTERNS = [(route, route.path.split("/")) for route in ROUTES]


_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")


def allowed_methods(raw_path: str) -> list[str]:
    """The methods of a path, as `Allow` lists them; empty for an unknown path."""
    known = {method for method in _METHODS if find_route(method, raw_path)}
    return [method for method in _METHODS if method in known]


def find_route(method: str, raw_path: str) -> tuple[Route, tuple[str, ...]] | None:
    """The route of a request and the decoded variable segments; None when there is no route.

    A HEAD request has the route of GET.

    `raw_path` is percent-encoded. It is split before it is decoded, so an encoded slash stays
    inside its segment.
    """
    segments = raw_path.split("/")
    method = "GET" if method == "HEAD" else method
    for route, pattern in _PATTERNS:
        if route.method != method or len(pattern) != len(segments):
            continue
        if all(wanted in ("*", got) for wanted, got in zip(pattern, segments, strict=True)):
            named = zip(pattern, segments, strict=True)
            return route, tuple(unquote(got) for wanted, got in named if wanted == "*")
    return None
