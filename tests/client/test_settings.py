"""What a client may be told, and what it makes of it."""

from __future__ import annotations

import inspect
import os
import warnings
from typing import Any

import numpy as np
import pytest

from syncro_async import SYNCRO, AsyncClient, RateLimit, RetryPolicy
from syncro_async.clock import SystemClock
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.settings import ClientOptions
from tests.client.test_client import OTHER
from tests.transport.scripted_app import KEY


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SYNCRO_", "ELSEWHERE_"))]:
        monkeypatch.delenv(name)


def key_of(client: AsyncClient) -> str:
    return client._settings.config.api_key.reveal()


class OddlyShown:
    """A value of which no text can be made."""

    def __repr__(self) -> str:
        raise RuntimeError


ODD = {
    "long": "x" * 10_000,
    "unshowable": OddlyShown(),
    "huge": -(10**5_000),
    "array": np.arange(2),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["timeout", "max_wait", "max_connections", "lane", "rate_limit"])
def test_a_refused_value_is_shown_in_short(name: str, odd: str) -> None:
    options: dict[str, Any] = {name: ODD[odd]}
    with pytest.raises(ConfigurationError) as caught:
        AsyncClient(KEY, **options)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("odd", ODD)
def test_so_is_that_of_a_policy_or_a_rate(odd: str) -> None:
    for name in ("attempts", "base_delay", "quota_cost"):
        options: dict[str, Any] = {name: ODD[odd]}
        with pytest.raises(ConfigurationError, match=f"{name}=") as caught:
            RetryPolicy(**options)
        assert len(str(caught.value)) < 300
    for name in ("calls", "seconds", "guard", "burst"):
        options = {"calls": 60, "seconds": 60.0, name: ODD[odd]}
        with pytest.raises(ConfigurationError, match=f"{name}=") as caught:
            RateLimit(**options)
        assert len(str(caught.value)) < 300


class TestTheKey:
    def test_it_comes_from_the_argument_or_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNCRO_API_KEY", "crm_environment")
        assert key_of(AsyncClient()) == "crm_environment"
        assert key_of(AsyncClient("crm_argument")) == "crm_argument"

    def test_without_one_there_is_no_client(self) -> None:
        with pytest.raises(ConfigurationError, match=r"set SYNCRO_API_KEY or give api_key=…"):
            AsyncClient()

    @pytest.mark.parametrize("blank", ["", " ", "\n\t"])
    def test_a_blank_one_is_none(self, blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ConfigurationError, match="is blank"):
            AsyncClient(blank)
        monkeypatch.setenv("SYNCRO_API_KEY", blank)
        with pytest.raises(ConfigurationError, match="set SYNCRO_API_KEY"):
            AsyncClient()

    def test_one_service_s_key_never_goes_to_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCRO_API_KEY", KEY)
        with pytest.raises(ConfigurationError, match="ELSEWHERE_API_KEY"):
            AsyncClient(dialect=OTHER)

    @pytest.mark.parametrize("odd", [b"crm_x", 5, ["crm_x"]])
    def test_what_is_no_text_is_no_key(self, odd: Any) -> None:
        with pytest.raises(ConfigurationError, match="must be a str"):
            AsyncClient(odd)

    def test_its_errors_are_value_errors_too(self) -> None:
        with pytest.raises(ValueError, match="no API key for Syncro"):
            AsyncClient()


class TestTheBaseUrl:
    def test_it_comes_from_the_argument_the_environment_or_the_dialect(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "https://app.syncro.chat/api/v1 " in repr(AsyncClient(KEY))
        monkeypatch.setenv("SYNCRO_BASE_URL", "https://staging.invalid/v1/")
        assert "https://staging.invalid/v1 " in repr(AsyncClient(KEY))
        for spelled in ("https://X.invalid:443/api", "https://x.invalid/api/"):
            assert "https://x.invalid/api " in repr(AsyncClient(KEY, base_url=spelled))
        assert "https://x.invalid:8443 " in repr(
            AsyncClient(KEY, base_url="https://X.invalid:8443")
        )
        assert "https://elsewhere.invalid/api " in repr(AsyncClient(KEY, dialect=OTHER))

    @pytest.mark.parametrize(
        "url",
        [
            "app.syncro.chat/api",
            "ftp://app.syncro.chat",
            "https://",
            "https://:443",
            "https://host:port",
            "https://[::1",
            "https://host:99999",
            "/api/v1",
            "https://app.syn cro.chat",
        ],
    )
    def test_what_is_no_url_of_a_host_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match=r"must look like 'https://app\.syncro\.chat"):
            AsyncClient(KEY, base_url=url)

    @pytest.mark.parametrize(
        "url",
        ["https://1.2.3.400/v1", "https://b\u00fccher..invalid", "https://xn--zzzzzz.invalid"],
    )
    def test_what_no_request_can_be_made_of_is_refused_before_any(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match=f"base_url='{url}' cannot be used: Invalid"):
            AsyncClient(KEY, base_url=url)

    @pytest.mark.parametrize("part", ["user@host", "user:pw@host", "host/x?a=1", "host/x#top"])
    def test_it_holds_no_password_query_or_fragment(self, part: str) -> None:
        with pytest.raises(ConfigurationError, match="no password, query or fragment") as caught:
            AsyncClient(KEY, base_url=f"https://{part}")
        assert "pw" not in str(caught.value)

    def test_it_is_a_text(self) -> None:
        url: Any = 5
        with pytest.raises(ConfigurationError, match="base_url must be a str, not int"):
            AsyncClient(KEY, base_url=url)

    @pytest.mark.parametrize("url", ["http://crm.invalid/v1", "http://192.0.2.1/v1"])
    def test_plain_http_to_another_machine_warns_where_the_client_is_made(self, url: str) -> None:
        with pytest.warns(UserWarning, match="everybody on the way can read the API key") as caught:
            AsyncClient(KEY, base_url=url)
        assert caught[0].filename == __file__

    @pytest.mark.parametrize(
        "url",
        [
            "http://localhost:8000/v1",
            "http://127.0.0.9/v1",
            "http://[::1]/v1",
            "http://a.localhost/",
        ],
    )
    def test_to_this_machine_it_does_not(self, url: str) -> None:
        with warnings.catch_warnings(record=True) as caught:
            AsyncClient(KEY, base_url=url)
        assert caught == []


def test_the_options_that_functions_pass_on_are_those_of_the_client() -> None:
    assert {*ClientOptions.__annotations__} == {*inspect.signature(AsyncClient).parameters}


class TestTheRest:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_connections": 0}, "max_connections=0"),
            ({"max_connections": 1.5}, "max_connections=1.5"),
            ({"max_connections": "5"}, "max_connections='5'"),
            ({"max_connections": True}, "max_connections=True"),
            ({"timeout": 0}, "timeout=0"),
            ({"timeout": float("nan")}, "timeout=nan"),
            ({"timeout": float("inf")}, "timeout=inf"),
            ({"timeout": None}, "timeout=None"),
            ({"timeout": "5"}, "timeout='5'"),
            ({"max_wait": -0.1}, "max_wait=-0.1"),
            ({"max_wait": float("nan")}, "max_wait=nan"),
            ({"max_wait": "5"}, "max_wait='5'"),
            ({"lane": "fast"}, "lane='fast' must be one of interactive, bulk"),
            ({"retry": 3}, "retry must be a RetryPolicy, not int"),
            ({"rate_limit": []}, "non-empty sequence"),
            ({"rate_limit": [60]}, "rate_limit must be a RateLimit"),
            ({"limiter": "mysql:///x"}, "limiter 'mysql' is not known"),
            ({"limiter": "nonsense"}, "limiter 'nonsense' is not known"),
        ],
        ids=str,
    )
    def test_what_cannot_work_is_refused_when_the_client_is_made(
        self, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=message):
            AsyncClient(KEY, **options)

    def test_a_limiter_may_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCRO_LIMITER", "mysql://:secret@host")
        with pytest.raises(ConfigurationError, match="limiter 'mysql'") as caught:
            AsyncClient(KEY)
        assert "secret" not in str(caught.value)
        assert AsyncClient(KEY, limiter="memory://").budget().limit == 60
        monkeypatch.setenv("SYNCRO_LIMITER", "memory://")
        assert AsyncClient(KEY).budget().limit == 60

    def test_a_limiter_of_one_s_own_counts_although_it_is_empty(self) -> None:
        class Empty(InProcessLimiter):
            def __len__(self) -> int:
                return 0

        limiter = Empty([RateLimit(7, 9.0)], SystemClock())
        assert AsyncClient(KEY, limiter=limiter).budget().limit == 7

    def test_the_rates_are_the_dialect_s_unless_given(self) -> None:
        assert AsyncClient("crm_a").budget().limit == SYNCRO.rates[0].calls
        assert AsyncClient("crm_b", rate_limit=RateLimit(5, 1.0)).budget().limit == 5


class TestTheRateLimit:
    def test_the_environment_names_that_of_another_plan(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNCRO_RATE_LIMIT", " 30/2.5 ")
        assert AsyncClient("key", base_url="https://plan.example").budget().limit == 30
        config = AsyncClient("key", base_url="https://plan.example")._settings.config
        assert config.rates == (RateLimit(30, 2.5),)

    def test_the_argument_goes_before_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNCRO_RATE_LIMIT", "30/2.5")
        client = AsyncClient("key", base_url="https://own.example", rate_limit=RateLimit(5, 1.0))
        assert client.budget().limit == 5

    def test_the_variable_belongs_to_the_dialect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCRO_RATE_LIMIT", "30/2.5")
        assert AsyncClient("key", dialect=OTHER)._settings.config.rates == OTHER.rates

    @pytest.mark.parametrize(
        "text", ["60", "60/", "/60", "0/60", "60/0", "a/b", "60/nan", "1.5/60"]
    )
    def test_what_is_no_limit_is_refused_with_its_name_and_value(
        self, text: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNCRO_RATE_LIMIT", text)
        with pytest.raises(ConfigurationError, match=f"SYNCRO_RATE_LIMIT='{text}' must be CALLS/"):
            AsyncClient("key")
