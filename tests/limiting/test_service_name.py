"""One budget for one service, however its base URL is spelled."""

from __future__ import annotations

import pytest

from syncro_async import AsyncClient
from syncro_async.limiting.service_name import service_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://localhost/api", "http://127.0.0.1/api"),
        ("http://localhost:80/api", "http://[::1]/api/"),
        ("http://127.0.0.1:8000", "http://127.0.0.2:8000"),
        ("http://[::ffff:127.0.0.1]:8000", "http://localhost:8000"),
        ("http://app.localhost:8000", "http://0.0.0.0:8000"),
        ("https://crm.example.com/api/v1", "https://CRM.example.com.:443//api/v1/"),
        ("https://[2001:db8:0::1]/x", "https://[2001:DB8::1]/x"),
        ("https://käse.example/x", "https://xn--kse-qla.example/x"),
    ],
)
def test_two_spellings_of_one_service_are_one(one: str, other: str) -> None:
    assert service_name(one) == service_name(other)


@pytest.mark.parametrize(
    "other",
    [
        "https://crm.example.com/api/v2",
        "https://crm.example.org/api/v1",
        "https://crm.example.com:8443/api/v1",
        "http://crm.example.com/api/v1",
        "https://crm.example.com",
        "https://xn--\udcff.example/api/v1",
    ],
)
def test_another_host_port_scheme_or_path_is_another_service(other: str) -> None:
    assert service_name(other) != service_name("https://crm.example.com/api/v1")


async def test_clients_with_two_spellings_share_one_budget() -> None:
    async with (
        AsyncClient("key-1", base_url="http://localhost:8000") as one,
        AsyncClient("key-1", base_url="http://127.0.0.1:8000/") as other,
        AsyncClient("key-1", base_url="http://127.0.0.1:8001/") as third,
    ):
        assert one._limiter is other._limiter
        assert one._limiter is not third._limiter
