"""What a client is made of, asked and told."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import respx

import syncro_async
from syncro_async import SYNCRO, AsyncClient, Budget, Dialect, RateLimit, RetryPolicy
from syncro_async.errors import (
    BadRequestError,
    BudgetWaitError,
    CircuitOpenError,
    ConfigurationError,
    InvalidArgumentError,
    ProviderAuthenticationError,
    ReauthenticationRequiredError,
    StageBlockedError,
    SyncroError,
    UnprocessableError,
    ValidationError,
)
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.sandbox import FULL_KEY, OPEN_STAGE_ID, PIPELINE_ID, Sandbox, Trouble
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock
from tests.transport.scripted_app import BASE_URL, KEY, ONE, Answer, App, at_once, client_of

WELL = Answer(body={"lead": {"id": 7}})


class TestRequest:
    async def test_the_whole_body_comes_back_envelope_included(self) -> None:
        body = {"success": True, "data": [{"id": 1, "label": "é"}], "more": None}
        app = App(Answer(200, body))
        async with client_of(app) as client:
            assert await client.request("get", "/custom-fields") == body
        assert (app.asked[0].method, app.asked[0].path) == ("GET", "/custom-fields")

    async def test_a_body_goes_as_it_is_given_nulls_included(self) -> None:
        app = App(Answer(200, {}))
        async with client_of(app) as client:
            await client.request("PUT", "/tasks/7", json={"notes": None, "tags": ["a"]})
            await client.request("PUT", "/tasks/order", json=[7, 8])
        assert app.asked[0].body == b'{"notes":null,"tags":["a"]}'
        assert app.asked[1].body == b"[7,8]"

    async def test_parameters_are_encoded_as_the_api_reads_them(self) -> None:
        params = {
            "tags": ["a b", "ç&d"],
            "numbers": (1, 2.5),
            "none": None,
            "yes": True,
            "no": False,
            "since": datetime(2026, 6, 30, 10, tzinfo=UTC),
            "day": date(2026, 6, 30),
        }
        with respx.mock(base_url="https://app.syncro.chat/api/v1") as mock:
            route = mock.get("/leads").mock(return_value=httpx.Response(200, json={}))
            async with AsyncClient(KEY, engine="httpx") as client:  # respx sees no other
                await client.request("GET", "leads", params=params)
        assert route.calls.last.request.url.query == (
            b"tags%5B%5D=a+b&tags%5B%5D=%C3%A7%26d&numbers%5B%5D=1&numbers%5B%5D=2.5"
            b"&yes=1&no=0&since=2026-06-30T10%3A00%3A00Z&day=2026-06-30"
        )

    @pytest.mark.parametrize(
        ("path", "sent"),
        [
            ("/leads", "/leads"),
            ("leads", "/leads"),
            (f"{BASE_URL}/leads/7", "/leads/7"),
            ("/leads/a b/é", "/leads/a%20b/%C3%A9"),
            ("/leads/a%2Fb", "/leads/a%2Fb"),
            ("/leads/...", "/leads/..."),
            ("", "/"),
        ],
    )
    async def test_a_path_lies_below_the_base_url(self, path: str, sent: str) -> None:
        app = App()
        async with client_of(app) as client:
            await client.request("GET", path)
        assert app.asked[0].path == sent

    @pytest.mark.parametrize(
        "path",
        [
            "https://evil.invalid/leads",
            "//evil.invalid/leads",
            "/../admin",
            "/leads/..",
            "/./leads",
            "/%2e%2e/admin",
            "/leads/%2E%2e",
            "/leads/..%2f..%2fadmin",
            "/leads/..%5cadmin",
            "\\\\evil.invalid",
            "/leads?key=1",
            "/leads#top",
            "/leads?",
            "/leads#",
            "http://localhost/api/v2/leads",
            "file:///etc/passwd",
            f"{BASE_URL}evil/leads",
            "http://[/leads",
            "/leads/\ud800",
        ],
    )
    async def test_one_that_leaves_it_is_refused_and_nothing_is_sent(self, path: str) -> None:
        app = App()
        async with client_of(app) as client:
            with pytest.raises(InvalidArgumentError, match=r"^path[= ]"):
                await client.request("GET", path)
        assert app.asked == []

    @pytest.mark.parametrize("method", ["", "GE T", "GÉT", "GET\r\n", "GET /x HTTP/1.1"])
    async def test_a_method_that_is_none_is_refused(self, method: str) -> None:
        app = App()
        async with client_of(app) as client:
            with pytest.raises(ValueError, match="is no HTTP method"):
                await client.request(method, "/leads")
        assert app.asked == []

    @pytest.mark.parametrize(
        ("params", "json", "message"),
        [
            ({"since": datetime(2026, 6, 30, 10)}, None, "since=.* no time zone"),  # noqa: DTZ001
            ({"x": {"y": 1}}, None, "x cannot be sent as a query parameter: dict"),
            ({"x": b"y"}, None, "x cannot be sent as a query parameter: bytes"),
            ({"x": [None]}, None, "x cannot be sent as a query parameter: NoneType"),
            (None, {"value": float("nan")}, "value=nan is not a number JSON can carry"),
            (None, {"at": [datetime(2026, 6, 30, 10)]}, r"at\[0\]=.* no time zone"),  # noqa: DTZ001
            (None, {"deep": {"x": (1, float("inf"))}}, r"deep\['x'\]\[1\]=inf"),
            (None, {"x": object()}, "cannot be sent as JSON"),
            (None, [float("nan")], r"json\[0\]=nan"),
        ],
    )
    async def test_values_that_cannot_be_sent_are_refused(
        self, params: dict[str, Any] | None, json: Any, message: str
    ) -> None:
        app = App()
        async with client_of(app) as client:
            with pytest.raises(InvalidArgumentError, match=message):
                await client.request("POST", "/x", params=params, json=json)
        assert app.asked == []

    async def test_a_body_goes_as_json(self) -> None:
        app = App()
        async with client_of(app) as client:
            await client.request("POST", "/tasks", json={"subject": "Ligar", "ids": [7], "x": {}})
        assert app.asked[0].body == b'{"subject":"Ligar","ids":[7],"x":{}}'

    @pytest.mark.parametrize("odd", ["", " ", ".", "..", True, 1.5, None, b"7"])
    async def test_an_id_that_no_path_can_carry_is_refused(self, odd: Any) -> None:
        app = App()
        async with client_of(app) as client:
            with pytest.raises(ValueError, match="id"):
                await client.leads.get(odd)
        assert app.asked == []

    async def test_it_takes_a_slot_like_any_other_call(self) -> None:
        app = App()
        async with client_of(app, rate_limit=ONE) as client:
            await client.request("GET", "/a")
            await client.request("GET", "/b")
        assert app.times == [0.0, 60.25]


class TestViews:
    async def test_a_view_shares_the_budget_and_the_connections(self) -> None:
        app = App(WELL)
        async with client_of(app) as client:
            view = client.with_options(lane="bulk", max_wait=5.0, timeout=9.0)
            await view.leads.get(7)
            assert view.budget() == client.budget()
            assert client.budget().available == 59
            assert view._pipeline is client._pipeline

    async def test_it_changes_what_was_given_and_nothing_else(self) -> None:
        retry = RetryPolicy(attempts=1)
        async with client_of(App(), lane="bulk", timeout=7.0) as client:
            view = client.with_options(retry=retry, max_wait=3.0).with_options(max_wait=None)
            assert view._settings.options.retry is retry
            assert view._settings.options.max_wait is None
            assert (view._settings.options.lane, view._settings.options.timeout) == ("bulk", 7.0)
            assert client._settings.options.retry == RetryPolicy()
            assert repr(view) == f"<AsyncClient {BASE_URL} lane=bulk>"

    @pytest.mark.parametrize(
        "options",
        [{"lane": "fast"}, {"max_wait": -1}, {"timeout": 0}, {"timeout": None}, {"retry": None}],
        ids=str,
    )
    async def test_options_that_cannot_work_are_refused(self, options: dict[str, Any]) -> None:
        async with client_of(App()) as client:
            with pytest.raises(ConfigurationError, match=next(iter(options))):
                client.with_options(**options)

    async def test_interactive_calls_go_before_bulk_ones(self) -> None:
        app = App(WELL)
        async with client_of(app, rate_limit=ONE, lane="bulk") as client:
            await client.leads.get(0)
            bulk = [asyncio.ensure_future(client.leads.get(n)) for n in (1, 2)]
            await asyncio.sleep(0)
            await client.with_options(lane="interactive").leads.get(3)
            await asyncio.gather(*bulk)
        assert [asked.path for asked in app.asked] == [f"/leads/{n}" for n in (0, 3, 1, 2)]


class TestBudgets:
    async def test_clients_of_one_key_and_url_share_one_also_one_after_the_other(self) -> None:
        app = App(WELL)
        async with client_of(app) as first, client_of(app) as second:
            await first.leads.get(7)
            assert second.budget().available == 59
        async with client_of(app) as third:
            assert third.budget().available == 59

    async def test_however_the_url_is_spelled(self) -> None:
        app = App(WELL)
        async with (
            client_of(app, base_url="http://localhost/api/v1/") as first,
            client_of(app, base_url="HTTP://LocalHost/api/v1") as second,
        ):
            await first.leads.get(7)
            assert second.budget().available == 59

    async def test_another_url_is_another_budget(self) -> None:
        app = App(WELL)
        async with (
            client_of(app) as first,
            client_of(app, base_url="http://localhost/api/v2") as second,
        ):
            await first.leads.get(7)
            assert second.budget().available == 60

    async def test_a_limiter_of_the_user_s_own_is_asked(self) -> None:
        app = App(WELL)
        limiter = InProcessLimiter([ONE], app.clock)
        async with client_of(app, limiter=limiter) as client:
            await client.leads.get(7)
            assert client.budget() == msgspec.structs.replace(limiter.budget(), retries_left=50)
            assert client.budget().limit == 1

    async def test_max_wait_counts_the_whole_queue(self) -> None:
        app = App(WELL)
        async with client_of(app, rate_limit=ONE, max_wait=130.0) as client:
            await client.leads.get(0)
            calls = [asyncio.ensure_future(client.leads.get(n)) for n in (1, 2)]
            await asyncio.sleep(0)
            with pytest.raises(BudgetWaitError) as caught:
                await client.leads.get(3)
            assert caught.value.wait_needed == pytest.approx(180.75)
            await asyncio.gather(*calls)
        assert len(app.asked) == 3

    async def test_a_snapshot_is_a_plain_value(self) -> None:
        async with client_of(App(), rate_limit=[RateLimit(5, 1.0), RateLimit(60, 60.0)]) as client:
            assert client.budget() == Budget(
                limit=5,
                window=1.0,
                available=5,
                in_flight=0,
                waiting=0,
                next_free_in=0.0,
                retries_left=50,
            )


OTHER = Dialect(
    name="Elsewhere",
    environment="ELSEWHERE",
    base_url="https://elsewhere.invalid/api",
    key_header="Authorization",
    key_scheme="Bearer ",
    rates=(RateLimit(30, 60.0),),
    codes={
        "NEEDS_REAUTH": ReauthenticationRequiredError,
        "PROVIDER_AUTH_FAILED": ProviderAuthenticationError,
        "CIRCUIT_OPEN": CircuitOpenError,
    },
    resources=frozenset({"leads"}),
)


class TestDialects:
    async def test_the_key_travels_as_the_dialect_says(self) -> None:
        app = App(WELL)
        async with client_of(app, dialect=OTHER) as client:
            await client.leads.get(7)
            assert client.budget().limit == 30
        assert app.asked[0].headers["authorization"] == f"Bearer {KEY}"
        assert "x-api-key" not in app.asked[0].headers

    async def test_what_it_counts_is_its_own_matter(self) -> None:
        app = App(Answer(401))
        async with client_of(app, dialect=OTHER) as client:
            with pytest.raises(SyncroError):
                await client.leads.get(7)
            assert client.budget().available == 29

    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (403, "NEEDS_REAUTH", ReauthenticationRequiredError),
            (502, "PROVIDER_AUTH_FAILED", ProviderAuthenticationError),
        ],
    )
    @pytest.mark.parametrize("nested", [True, False])
    async def test_codes_that_only_a_person_can_cure_are_final(
        self,
        status: int,
        code: str,
        kind: type[SyncroError],
        nested: bool,  # noqa: FBT001
    ) -> None:
        said = {"code": code, "message": "de novo"}
        app = App(Answer(status, {"error": said} if nested else said), WELL)
        async with client_of(app, dialect=OTHER) as client:
            with pytest.raises(kind, match=f"{status} {code}: de novo"):
                await client.leads.get(7)
        assert len(app.asked) == 1

    @pytest.mark.parametrize("code", ["VALIDATION_ERROR", "INVALID_INPUT"])
    @pytest.mark.parametrize("status", [400, 422])
    async def test_a_code_alone_makes_a_validation_error(self, code: str, status: int) -> None:
        async with client_of(App(Answer(status, {"code": code}))) as client:
            with pytest.raises(ValidationError) as caught:
                await client.leads.get(7)
        assert caught.value.errors == {}
        assert caught.value.code == code

    async def test_without_either_they_stay_what_their_status_says(self) -> None:
        app = App(Answer(400, {"errors": ["x"]}), Answer(422, {"error": "text"}))
        async with client_of(app) as client:
            with pytest.raises(BadRequestError):
                await client.leads.get(7)
            with pytest.raises(UnprocessableError) as caught:
                await client.leads.get(7)
        assert type(caught.value) is UnprocessableError

    @pytest.mark.parametrize("tasks", [None, "many", [{"id": 1}, "x"]])
    async def test_pending_tasks_of_any_shape_are_survived(self, tasks: object) -> None:
        body = {"blocked": True, "message": "tarefas", "pending_tasks": tasks}
        async with client_of(App(Answer(422, body))) as client:
            with pytest.raises(StageBlockedError) as caught:
                await client.leads.move(7, stage_id=1, pipeline_id=1)
        assert [task.id for task in caught.value.pending_tasks] == [1] * isinstance(tasks, list)

    def test_its_fallback_is_the_longest_window_and_a_second(self) -> None:
        assert SYNCRO.fallback_pause((RateLimit(1, 5.0), RateLimit(9, 70.0))) == 71.0


class TestAgainstTheSandbox:
    async def test_a_client_of_the_sandbox_needs_no_key_and_no_time(self) -> None:
        async with sandbox_client(leads=450) as client:
            assert len(await client.leads.list().collect()) == 450
            assert await client.leads.list().count() == 450

    async def test_it_runs_on_the_clock_and_the_sandbox_given(self) -> None:
        clock = FakeClock()
        sandbox = Sandbox(leads=3, clock=clock)
        async with sandbox_client(sandbox=sandbox, clock=clock, api_key=FULL_KEY) as client:
            for _ in range(61):
                await client.leads.get(1)
        assert clock.monotonic() == 60.25
        assert (len(sandbox.arrivals), sandbox.refused) == (61, 0)

    async def test_a_lost_answer_to_a_write_is_one_lead_and_not_two(self) -> None:
        clock = FakeClock()
        sandbox = Sandbox(leads=3, clock=clock)
        sandbox.script(Trouble(lose_answer=True, method="POST"))
        async with sandbox_client(sandbox=sandbox, clock=clock, retry=at_once()) as client:
            result = await client.leads.upsert(
                name="Ana", phone="+5511999990000", pipeline_id=PIPELINE_ID, stage_id=OPEN_STAGE_ID
            )
        assert not result.created
        assert len(sandbox.leads) == 4


def test_without_the_extra_the_clock_works_and_the_sandbox_says_what_to_install() -> None:
    program = """
import sys
sys.modules["starlette"] = None
import asyncio
from syncro_async.testing import FakeClock, sandbox_client

async def main():
    await FakeClock().sleep(60)
    async with sandbox_client():
        pass

asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(syncro_async.__file__).parents[1])},
    )
    assert ended.returncode == 1
    assert ended.stderr.endswith('pip install "syncro-async[sandbox]"\n')
