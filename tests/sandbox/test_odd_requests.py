"""Requests that no careful client sends: each has the answer that Laravel gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncro_async.sandbox import FULL_KEY, Sandbox, serving
from syncro_async.sandbox.routes import ROUTES
from syncro_async.testing.fake_clock import FakeClock

LEAD = {"name": "Ana", "pipeline_id": 1, "stage_id": 4}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def body_with(name: str, number: str) -> bytes:
    return msgspec.json.encode({**LEAD, name: 0}).replace(
        f'"{name}":0'.encode(), f'"{name}":{number}'.encode()
    )


async def errors_of(api: httpx.AsyncClient, path: str, body: Any, method: str = "POST") -> Any:
    answer = await api.request(method, path, json=body)
    assert answer.status_code == 422, answer.text
    return answer.json()["errors"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "\xff"}',
        b'{"name": "\xed\xa0\x80"}',
        b'{"name": "\\ud800"}',
        b"{",
        b"[1]",
        b'"text"',
        b"",
        b'{"name": ' + b"[" * 600 + b"]" * 600 + b"}",
        b'{"name": ' + b"[" * 90_000 + b"]" * 90_000 + b"}",
    ],
)
async def test_a_body_that_php_cannot_read_has_no_fields(
    api: httpx.AsyncClient, body: bytes
) -> None:
    answer = await api.post("/leads", content=body, headers=JSON)
    assert answer.status_code == 422
    assert [*answer.json()["errors"]] == ["name", "pipeline_id", "stage_id"]


@pytest.mark.parametrize("digits", ["9" * 400, "9" * 5_000, "-" + "9" * 400, "1" + "0" * 308])
@pytest.mark.parametrize("name", ["pipeline_id", "assigned_to"])
async def test_a_number_beyond_64_bits_is_no_integer(
    api: httpx.AsyncClient, name: str, digits: str
) -> None:
    answer = await api.post("/leads", content=body_with(name, digits), headers=JSON)
    assert answer.status_code == 422
    # PHP reads it as a float; of more digits than Python reads, the whole body.
    message = answer.json()["errors"].get(name, ["is required."])[0]
    assert message.endswith(("must be an integer.", "is required."))


@pytest.mark.parametrize("digits", ["9" * 400, "1e400", "-" + "9" * 400])
async def test_a_value_that_is_infinite_is_refused(api: httpx.AsyncClient, digits: str) -> None:
    answer = await api.post("/leads", content=body_with("value", digits), headers=JSON)
    assert answer.status_code == 422


@pytest.mark.parametrize("path", ["/leads/{}", "/webhooks/{}", "/leads/{}/tags/x"])
@pytest.mark.parametrize("number", ["9" * 4_301, "9" * 19, "0", "00", "-1", "+1", "1.0", "²"])
async def test_an_id_that_no_record_has_is_a_404(
    api: httpx.AsyncClient, path: str, number: str
) -> None:
    method = "DELETE" if "tags" in path else "GET"
    assert (await api.request(method, path.format(number))).status_code == 404


async def test_an_id_may_have_zeros_in_front(api: httpx.AsyncClient) -> None:
    assert (await api.get("/leads/" + "0" * 5_000 + "7")).json()["lead"]["id"] == 7


@pytest.mark.parametrize("path", ["/leads", "/tasks", "/leads?source=site"])
@pytest.mark.parametrize("page", ["9" * 18, str(2**63 - 1)])
async def test_a_page_far_behind_the_last_one_is_empty(
    api: httpx.AsyncClient, path: str, page: str
) -> None:
    answer = await api.get(path, params={**dict(httpx.URL(path).params), "page": page})
    assert (answer.status_code, answer.json()["data"]) == (200, [])
    assert answer.json()["meta"]["current_page"] == int(page)
    assert answer.json()["meta"]["has_more"] is False


async def test_a_page_beyond_64_bits_is_no_integer(api: httpx.AsyncClient) -> None:
    answer = await api.get("/leads", params={"page": str(2**63)})
    assert answer.json()["errors"] == {"page": ["The page field must be an integer."]}


@pytest.mark.parametrize("value", [5, "5", " 5 ", "+5", 5.0, "\u200b5\ufeff"])
async def test_what_laravel_takes_for_an_integer(api: httpx.AsyncClient, value: Any) -> None:
    assert (await api.post("/leads", json={**LEAD, "stage_id": value})).status_code == 201


@pytest.mark.parametrize(
    "value", ["5.0", 5.5, "05", "5_0", "\u0665", "5e0", "0x5", 1e300, [5], {}, True]
)
async def test_what_laravel_takes_for_no_integer(api: httpx.AsyncClient, value: Any) -> None:
    errors = await errors_of(api, "/leads", {**LEAD, "assigned_to": value})
    assert errors == {"assigned_to": ["The assigned to field must be an integer."]}


@pytest.mark.parametrize(
    ("value", "number"),
    [("1.5", 1.5), ("1e2", 100.0), (".5", 0.5), ("5.", 5.0), ("-3", -3.0), (2, 2.0), ("01", 1.0)],
)
async def test_what_laravel_takes_for_a_number(
    api: httpx.AsyncClient, sandbox: Sandbox, value: Any, number: float
) -> None:
    created = (await api.post("/leads", json={**LEAD, "value": value})).json()["lead"]
    assert sandbox.leads[created["id"]]["value"] == number


@pytest.mark.parametrize(
    "value", ["1_000", "1,5", "\u0663", "inf", "nan", "0x1A", "1e999", ".", [1], True]
)
async def test_what_laravel_takes_for_no_number(api: httpx.AsyncClient, value: Any) -> None:
    errors = await errors_of(api, "/leads", {**LEAD, "value": value})
    assert errors == {"value": ["The value field must be a number."]}


async def test_nested_texts_are_trimmed_and_empty_ones_are_null(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    custom = {"segmento": " SaaS\u200b", "fax": "  ", "interesses": [" crm ", ""]}
    sent = {**LEAD, "tags": [" vip ", "vip"], "custom_fields": custom}
    created = (await api.post("/leads", json=sent)).json()["lead"]
    lead = sandbox.leads[created["id"]]
    assert lead["tags"] == ["vip"]
    assert lead["custom_fields"] == {"segmento": "SaaS", "fax": None, "interesses": ["crm", None]}
    assert await errors_of(api, "/leads", {**LEAD, "tags": ["a", " ", 3]}) == {
        "tags.1": ["The tags.1 field must be a string."],
        "tags.2": ["The tags.2 field must be a string."],
    }


async def test_an_error_names_the_entry_as_it_was_sent(api: httpx.AsyncClient) -> None:
    events = ["lead.created", "lead.created", "lead.lost", 4]
    body = {"target_url": "https://example.com/", "events": events}
    assert await errors_of(api, "/webhooks", body) == {
        "events.2": ["The selected events.2 is invalid."],
        "events.3": ["The events.3 field must be a string."],
    }
    assert await errors_of(api, "/leads", {**LEAD, "tags": {"a": "x", "b": 1}}) == {
        "tags.b": ["The tags.b field must be a string."]
    }


async def test_each_complaint_comes_once(api: httpx.AsyncClient) -> None:
    errors = await errors_of(api, "/leads/upsert", {**LEAD, "email": 5, "phone": [1]})
    assert errors["email"] == ["The email field must be a string."]
    assert errors["phone"] == ["The phone field must be a string."]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/leads/7", "GET, HEAD, DELETE"),
        ("DELETE", "/leads", "GET, HEAD, POST"),
        ("GET", "/leads/7/stage", "PUT"),
        ("PUT", "/leads/upsert", "GET, HEAD, POST, DELETE"),
    ],
)
async def test_a_method_that_a_path_lacks_is_a_405(
    api: httpx.AsyncClient, sandbox: Sandbox, method: str, path: str, allowed: str
) -> None:
    answer = await api.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    assert answer.json()["message"] == (
        f"The {method} method is not supported for route api/v1{path}."
        f" Supported methods: {allowed}."
    )
    assert sandbox.writes == []
    assert (await api.request(method, "/unknown")).status_code == 404


async def test_head_is_get_without_its_body(api: httpx.AsyncClient) -> None:
    got, head = await api.get("/leads/7"), await api.head("/leads/7")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


async def test_a_form_is_read_as_php_reads_it(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    form = (
        "name=Ana+Souza&pipeline_id=1&stage_id=4&tags[]=a&tags[]=b&custom_fields[segmento]=SaaS"
        "&name[x]=ignored"
    )
    answer = await api.post("/leads", content=form, headers=FORM)
    lead = sandbox.leads[answer.json()["lead"]["id"]]
    assert (lead["name"], lead["tags"]) == ("Ana Souza", ["a", "b"])
    assert lead["custom_fields"] == {"segmento": "SaaS"}
    assert (await api.post("/leads", content=b"name=\xff", headers=FORM)).status_code == 422


@pytest.mark.parametrize(("size", "status"), [(8 * 1024 * 1024, 422), (8 * 1024 * 1024 + 1, 413)])
async def test_a_body_of_more_than_8_mb_is_a_413(
    api: httpx.AsyncClient, size: int, status: int
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        left = size
        while left:
            part = min(left, 4 * 1024 * 1024)
            left -= part
            yield b" " * part

    answer = await api.post("/leads", content=parts(), headers=JSON)
    assert answer.status_code == status
    if status == 413:
        assert answer.json() == {"message": "The POST data is too large."}


def test_it_listens_on_an_address_of_ipv6() -> None:
    with serving(Sandbox(3), host="::1") as url:
        assert url.startswith("http://[::1]:")
        answer = httpx.get(f"{url}/leads/1", headers={"X-API-Key": FULL_KEY}, trust_env=False)
        assert answer.json()["lead"]["id"] == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=4,
)
NAMES = st.sampled_from(
    [
        *("name", "email", "phone", "tags", "value", "pipeline_id", "stage_id", "custom_fields"),
        *("events", "target_url", "type", "body", "template_id", "variables", "sequence_id"),
        *("due_date", "due_time", "reason_id", "instance_id", "is_active", "match_by", "source"),
    ]
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ROUTES),
    st.dictionaries(NAMES, VALUES, max_size=5),
    st.dictionaries(st.sampled_from(["page", "per_page", "tags[]", "q", "include"]), st.text()),
)
def test_no_request_is_a_crash_or_has_a_complaint_twice(
    route: Any, fields: dict[str, Any], query: dict[str, str]
) -> None:
    async def send() -> httpx.Response:
        sandbox = Sandbox(3, clock=FakeClock(), per_minute=10_000)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as web:
            return await web.request(
                route.method,
                "http://sandbox/api/v1" + route.path.replace("*", "3"),
                params=query,
                content=msgspec.json.encode(fields),
                headers={**JSON, "X-API-Key": FULL_KEY, "Accept": "application/json"},
            )

    answer = asyncio.run(send())
    assert answer.status_code < 500
    for messages in answer.json().get("errors", {}).values():
        assert len(messages) == len(set(messages))
