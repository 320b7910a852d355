"""RouteMCP (API reference, "Error Codes" and "Rate limits")."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from syncro_async.dialects.dialect import Dialect, accept_earlier_names
from syncro_async.dialects.pagination import Paging
from syncro_async.errors import (
    CircuitOpenError,
    ConfigurationError,
    ProviderAuthenticationError,
    ProviderRateLimitedError,
    ReauthenticationRequiredError,
)
from syncro_async.limiting.rate_limit import RateLimit

Plan = Literal["individual", "team", "organization"]

_CALLS_A_MINUTE = {"individual": 100, "team": 500, "organization": 2_000}


@accept_earlier_names
@dataclass(frozen=True, slots=True)
class RouteMCP(Dialect):
    """RouteMCP, whose calls go on to a provider that an end user has connected."""

    def with_options(
        self,
        *,
        plan: Plan | None = None,
        end_user_id: str | None = None,
        provider: str | None = None,
        paging: Paging | None = None,
    ) -> RouteMCP:
        """The same service, asked otherwise; what is None stays as it is.

        - `plan`: what the key's plan allows: 100 calls a minute (`"individual"`, the default),
          500 (`"team"`) or 2,000 (`"organization"`).
        - `end_user_id`: whose connection is used, the header `X-End-User-Id` of every request.
        - `provider`: which provider is asked, `?provider=` of every request (`"hubspot"`).
        - `paging`: how its lists come, a `Cursor` with the names the service uses.

        Raises `ConfigurationError` for what it does not know or cannot send.
        """
        headers, params = dict(self.headers), dict(self.params)
        if end_user_id is not None:
            headers["X-End-User-Id"] = end_user_id
        if provider is not None:
            given: object = provider
            if not (isinstance(given, str) and given.strip()):
                raise ConfigurationError(f"provider must be a provider's slug, not {provider!r}")
            params["provider"] = provider
        return replace(
            self,
            rates=self.rates if plan is None else (_rate_of(plan),),
            headers=headers,
            params=params,
            paging=paging or self.paging,
        )


def _rate_of(plan: str) -> RateLimit:
    calls = _CALLS_A_MINUTE.get(str(plan).lower())
    if calls is None:
        raise ConfigurationError(f"plan={plan!r} must be one of {', '.join(_CALLS_A_MINUTE)}")
    return RateLimit(calls, 60.0)


ROUTEMCP = RouteMCP(
    name="RouteMCP",
    environment="ROUTEMCP",
    base_url="https://api.routemcp.io/api/v1",
    key_header="Authorization",
    key_scheme="Bearer ",
    rates=(_rate_of("individual"),),
    codes={
        "NEEDS_REAUTH": ReauthenticationRequiredError,
        "PROVIDER_RATE_LIMITED": ProviderRateLimitedError,
        "PROVIDER_AUTH_FAILED": ProviderAuthenticationError,
        "CIRCUIT_OPEN": CircuitOpenError,
    },
    # The call to the provider is refused before it is made.
    not_processed=frozenset({"CIRCUIT_OPEN"}),
    advice={
        "INVALID_API_KEY": "send a valid sk_live_… or sk_test_… key",
        "FORBIDDEN": "use an API key that has access to this resource",
        "CONTACT_NOT_FOUND": "check the contact's id; it may be gone from the connected CRM",
        "LEAD_NOT_FOUND": "check the lead's id; not every provider has leads of its own",
        "MEETING_NOT_FOUND": "check the meeting's id",
        "PROVIDER_NOT_FOUND": "check the provider's slug",
        "CONNECTION_NOT_FOUND": "have the end user connect the provider in the Connect widget",
        "END_USER_NOT_FOUND": "use the endUserId the connect token was created with",
        "CONNECTION_ALREADY_EXISTS": "use the active connection of this end user and provider",
        "INVALID_INPUT": "correct the fields that errors names",
        "MISSING_REQUIRED": "send all required fields",
        "MISSING_PROVIDER": "name one: ROUTEMCP.with_options(provider='hubspot') or ?provider=",
        "UNSUPPORTED_RESOURCE": "use a provider that has this resource",
        "INVALID_DATE_RANGE": "let endDate lie after startDate",
        "PROVIDER_ERROR": "the CRM failed in an unexpected way; try again",
        "PROVIDER_RATE_LIMITED": "the CRM's own limit is used up; come back in retry_after seconds",
        "PROVIDER_UNAVAILABLE": "the CRM is down; try again later, and less and less often",
        "CIRCUIT_OPEN": "the CRM failed too often; come back after the time the answer names",
        "PROVIDER_AUTH_FAILED": "have the end user reconnect in the Connect widget",
        "NEEDS_REAUTH": "have the end user reconnect in the Connect widget",
        "INTERNAL_ERROR": "try again; if it stays, ask the service's support",
        "SERVICE_UNAVAILABLE": "the service is under maintenance; try again later",
    },
)
