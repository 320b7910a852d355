"""The API keys of the account, and their checks in the documented order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from syncro_async.sandbox.responses import error

FULL_KEY = "crm_sandbox_full"
READ_ONLY_KEY = "crm_sandbox_read_only"
LEADS_ONLY_KEY = "crm_sandbox_leads_only"
EXPIRED_KEY = "crm_sandbox_expired"
SUSPENDED_KEY = "crm_sandbox_suspended"

_AREAS_READ = (
    "leads",
    "pipelines",
    "custom_fields",
    "sequences",
    "tasks",
    "whatsapp",
    "users",
    "webhooks",
)
_AREAS_WRITTEN = ("leads", "sequences", "tasks", "whatsapp", "webhooks")
_READING = frozenset(f"{area}:read" for area in _AREAS_READ)
_WRITING = frozenset(f"{area}:write" for area in _AREAS_WRITTEN)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key; `name` is the value of `Arrival.key_name`."""

    name: str
    permissions: frozenset[str]
    state: Literal["active", "expired", "suspended"] = "active"


KEYS = {
    FULL_KEY: Key("full", _READING | _WRITING),
    READ_ONLY_KEY: Key("read_only", _READING),
    LEADS_ONLY_KEY: Key("leads_only", frozenset({"leads:read", "leads:write"})),
    EXPIRED_KEY: Key("expired", _READING | _WRITING, "expired"),
    SUSPENDED_KEY: Key("suspended", _READING | _WRITING, "suspended"),
}


def authorize(sent: str, permission: str | None) -> Key:
    """The key of a request, after all checks.

    `sent`: the value of the header `X-API-Key`. `permission`: the permission that the call needs;
    None for a path without a call. The checks have the order of the API reference, 'Errors and
    limits'. Raises `RequestRejected`: 401 for a missing, unknown or expired key, then 403 for a
    suspended account, then 403 for a key without the permission.
    """
    if not sent.strip():
        raise error(401, {"message": "API Key não fornecida."})
    key = KEYS.get(sent)
    if key is None:
        raise error(401, {"message": "API Key inválida."})
    if key.state == "expired":
        raise error(401, {"message": "API Key expirada."})
    if key.state == "suspended":
        raise error(403, {"message": "Conta inativa."})
    if permission is not None and permission not in key.permissions:
        message = "API Key sem permissão para esta operação."
        raise error(403, {"message": message, "required_permission": permission})
    return key
