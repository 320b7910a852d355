"""Syncro CRM (API reference, "Errors and limits" and "Leads")."""

from __future__ import annotations

from syncro_async.dialects.dialect import Dialect
from syncro_async.dialects.pagination import PageNumbers
from syncro_async.limiting.rate_limit import RateLimit

SYNCRO = Dialect(
    name="Syncro",
    environment="SYNCRO",
    base_url="https://app.syncro.chat/api/v1",
    key_header="X-API-Key",
    rates=(RateLimit(60, 60.0),),
    # The key and its scopes are checked before the limit is counted.
    uncounted_statuses=frozenset({401, 403}),
    key_reasons={
        "API Key não fornecida.": "missing",
        "API Key inválida.": "invalid",
        "API Key expirada.": "expired",
    },
    suspended=frozenset({"Conta inativa."}),
    paging=PageNumbers(largest=200),
    resources=frozenset(
        {
            *("leads", "tasks", "pipelines", "custom_fields"),
            *("whatsapp", "account", "users", "webhooks"),
        }
    ),
)
