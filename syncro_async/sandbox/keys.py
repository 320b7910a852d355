"""Who may call: the account's keys, judged in the documented order."""

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
    """A key as the server knows it; `name` is what `Arrival.key_name` shows."""

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
    """The key behind the `X-API-Key` header `sent`, if it may do what needs `permission`.

    The order is that of the API reference, 'Errors and limits'. Raises `Refused`: 401 for a
    missing, unknown or expired key, then 403 for a suspended account, then 403 for a key without
    the permission.
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
