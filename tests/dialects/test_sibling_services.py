"""What differs between services is in the dialect, and nothing of one reaches another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from syncro_async import AsyncClient, Dialect, Succeeded
from syncro_async.dialects import ROUTEMCP, SYNCRO, WOLFEO, Cursor
from syncro_async.errors import AuthenticationError, BadRequestError, ConfigurationError
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.http_engine import in_process_transport
from tests.dialects.services import RouteMCP, Wolfeo
from tests.transport.scripted_app import Answer, App, client_of

SERVICES = {"SYNCRO": SYNCRO, "WOLFEO": WOLFEO, "ROUTEMCP": ROUTEMCP}
KEY_HEADERS = {
    "SYNCRO": ("x-api-key", "key_of_syncro"),
    "WOLFEO": ("authorization", "Bearer key_of_wolfeo"),
    "ROUTEMCP": ("authorization", "Bearer key_of_routemcp"),
}
HOSTS = {"SYNCRO": "app.syncro.chat", "WOLFEO": "api.wolfeo.me", "ROUTEMCP": "api.routemcp.io"}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for prefix in SERVICES:
        for what in ("API_KEY", "BASE_URL", "LIMITER"):
            monkeypatch.delenv(f"{prefix}_{what}", raising=False)


class TestTheKey:
    @pytest.mark.parametrize("service", SERVICES)
    async def test_of_each_service_goes_to_that_service_alone(
        self, service: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in SERVICES:
            monkeypatch.setenv(f"{name}_API_KEY", f"key_of_{name.lower()}")
        app = App()
        options: dict[str, Any] = {"transport": in_process_transport(app), "clock": app.clock}
        async with AsyncClient(dialect=SERVICES[service], **options) as client:
            await client.request("GET", "/contacts")
        headers = app.asked[0].headers
        header, value = KEY_HEADERS[service]
        assert headers[header] == value
        assert headers["host"] == HOSTS[service]
        assert [text for text in headers.values() if "key_of_" in text] == [value]

    @pytest.mark.parametrize("service", SERVICES)
    def test_of_one_service_is_none_for_another(
        self, service: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in SERVICES.keys() - {service}:
            monkeypatch.setenv(f"{name}_API_KEY", "key")
            monkeypatch.setenv(f"{name}_BASE_URL", "https://other.example")
            monkeypatch.setenv(f"{name}_LIMITER", "unheard-of://")
        with pytest.raises(ConfigurationError, match=f"set {service}_API_KEY or"):
            AsyncClient(dialect=SERVICES[service])
        client = AsyncClient("key", dialect=SERVICES[service], clock=FakeClock())
        assert HOSTS[service] in repr(client)

    async def test_that_the_service_does_not_know_is_an_authentication_error(self) -> None:
        app = App(Wolfeo())
        options: dict[str, Any] = {
            "base_url": "http://localhost/api/v1",
            "transport": in_process_transport(app),
            "clock": app.clock,
        }
        async with AsyncClient("another", dialect=WOLFEO, **options) as client:
            with pytest.raises(AuthenticationError, match="UNAUTHORIZED: Invalid API key"):
                await client.request("GET", "/contacts")


RESOURCES = sorted(
    name
    for name, value in vars(AsyncClient).items()
    if isinstance(value, property) and name not in {"bulk", "with_raw_response", "_limiter"}
)


class TestResources:
    @pytest.mark.parametrize("service", [WOLFEO, ROUTEMCP], ids=["Wolfeo", "RouteMCP"])
    @pytest.mark.parametrize("resource", RESOURCES)
    def test_a_service_without_one_says_so_and_what_it_offers(
        self, resource: str, service: Dialect
    ) -> None:
        client = AsyncClient("key", dialect=service, clock=FakeClock())
        offers = (
            rf"{service.name} has no {resource}; its client offers request\(\) and paginate\(\)"
        )
        with pytest.raises(ConfigurationError, match=offers):
            getattr(client, resource)

    def test_leads_are_among_those_looked_at(self) -> None:
        assert "leads" in RESOURCES
        client = AsyncClient("key", dialect=WOLFEO, clock=FakeClock())
        with pytest.raises(ConfigurationError, match="Wolfeo has no leads"):
            client.leads.list()

    async def test_bulk_jobs_need_those_that_they_are_about(self) -> None:
        app = App(*[Answer(200, {"success": True, "data": {}})] * 3)
        async with client_of(app, dialect=WOLFEO) as client:
            with pytest.raises(ConfigurationError, match="Wolfeo has no leads"):
                await client.bulk.export_leads("leads.csv")
            with pytest.raises(ConfigurationError, match="Wolfeo has no leads"):
                await client.bulk.upsert_leads([{"name": "Ana", "email": "ana@example.com"}])
            paths = ["/contacts/1", "/contacts/2", "/contacts/3"]
            async with client.bulk.map(lambda path: client.request("GET", path), paths) as run:
                assert [type(outcome) async for outcome in run] == [Succeeded] * 3

    def test_all_of_them_are_syncro_s(self) -> None:
        assert set(RESOURCES) <= SYNCRO.resources

    def test_a_service_with_some_names_them(self) -> None:
        some = replace(WOLFEO, name="Acme", resources=frozenset({"tasks", "account"}))
        client = AsyncClient("key", dialect=some, clock=FakeClock())
        with pytest.raises(ConfigurationError, match="no leads; its client offers account, tasks"):
            client.leads.list()


class TestRouteMCPOptions:
    async def test_the_end_user_and_the_provider_go_with_every_request(self) -> None:
        service = RouteMCP(3)
        app = App(service)
        dialect = ROUTEMCP.with_options(end_user_id="user-1", provider="hubspot")
        async with client_of(app, dialect=dialect) as client:
            await client.request("GET", "/contacts")
            await client.request("POST", "/contacts", json={"name": "Ana"}, params={"limit": 1})
            cursor = Cursor(query="after", field="page.next")
            assert len(await client.paginate("/contacts", paging=cursor).collect()) == 3
        assert service.end_users == ["user-1"] * 3
        assert [asked.query["provider"] for asked in app.asked] == ["hubspot"] * 3
        assert app.asked[1].query == {"limit": "1", "provider": "hubspot"}
        assert app.asked[1].headers["content-type"] == "application/json"

    async def test_without_a_provider_the_service_says_what_is_missing(self) -> None:
        async with client_of(App(RouteMCP()), dialect=ROUTEMCP) as client:
            with pytest.raises(BadRequestError, match=r"MISSING_PROVIDER: .* \(advice: name one"):
                await client.request("GET", "/contacts")

    async def test_a_parameter_of_the_call_has_precedence(self) -> None:
        app = App()
        async with client_of(app, dialect=ROUTEMCP.with_options(provider="hubspot")) as client:
            await client.request("GET", "/contacts", params={"provider": "pipedrive"})
            await client.request("GET", "/contacts", params={"provider": ""})
            await client.request("GET", "/contacts", params={"provider": None})
        assert [asked.query.get("provider") for asked in app.asked] == [
            "pipedrive",
            None,
            "hubspot",
        ]

    def test_options_add_up(self) -> None:
        one = ROUTEMCP.with_options(plan="team").with_options(end_user_id="ana")
        both = one.with_options(provider="hubspot", paging=Cursor(query="a", field="b"))
        assert both.rates == ROUTEMCP.with_options(plan="team").rates
        assert both.headers == {"X-End-User-Id": "ana"}
        assert both.params == {"provider": "hubspot"}
        assert both.paging == Cursor(query="a", field="b")
        assert both.with_options() == both
        assert (ROUTEMCP.headers, ROUTEMCP.params, ROUTEMCP.paging) == ({}, {}, None)

    @pytest.mark.parametrize("odd", ["", " ", " ana", "ana ", "a\r\nx-api-key: b", "josé", 7])
    def test_an_end_user_no_header_can_carry_is_refused(self, odd: Any) -> None:
        with pytest.raises(ConfigurationError, match="X-End-User-Id must be printable ASCII"):
            ROUTEMCP.with_options(end_user_id=odd)

    @pytest.mark.parametrize("odd", ["", " ", 7])
    def test_what_is_no_provider_is_refused(self, odd: Any) -> None:
        with pytest.raises(ConfigurationError, match="provider must be a provider's slug"):
            ROUTEMCP.with_options(provider=odd)


class TestAViewForAnotherEndUser:
    async def test_shares_connections_and_budget(self) -> None:
        service = RouteMCP()
        app = App(service)
        base = ROUTEMCP.with_options(provider="hubspot")
        async with client_of(app, dialect=base) as client:
            ana = client.with_options(dialect=base.with_options(end_user_id="ana"))
            bob = ana.with_options(dialect=base.with_options(end_user_id="bob"), timeout=5.0)
            for one in (client, ana, bob, ana.with_options(lane="bulk"), client):
                await one.request("GET", "/contacts")
            assert client.budget() == bob.budget()
            assert bob.budget().available == 95
        assert service.end_users == [None, "ana", "bob", "ana", None]

    @pytest.mark.parametrize(
        "other",
        [SYNCRO, WOLFEO, ROUTEMCP.with_options(plan="team"), replace(ROUTEMCP, name="X"), None],
        ids=["Syncro", "Wolfeo", "another plan", "another name", "none"],
    )
    def test_is_not_one_of_another_service_or_plan(self, other: Any) -> None:
        client = AsyncClient("key", dialect=ROUTEMCP, clock=FakeClock())
        with pytest.raises(ConfigurationError, match="a client of RouteMCP can only change to"):
            client.with_options(dialect=other)


class TestADialectsOwnHeaders:
    async def test_take_the_place_of_the_client_s_of_that_name(self) -> None:
        app = App(Answer(body={"lead": {"id": 7}}))
        dialect = replace(SYNCRO, headers={"User-Agent": "mine/1.0", "X-Proxy": "in"})
        async with client_of(app, dialect=dialect) as client:
            await client.leads.get(7)
            await client.leads.delete(7)
        assert [asked.headers["user-agent"] for asked in app.asked] == ["mine/1.0"] * 2
        assert app.asked[0].headers["x-proxy"] == "in"

    @pytest.mark.parametrize("name", ["x-api-key", "X-API-KEY", "", "a b", "a:"])
    def test_cannot_be_the_key_s_or_none(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match=r"Syncro: .* cannot be a header of its own"):
            replace(SYNCRO, headers={name: "x"})
