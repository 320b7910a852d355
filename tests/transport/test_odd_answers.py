"""Answers that are not what the API documents, and errors in every dress."""

from __future__ import annotations

import gzip
import pickle
import zlib
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from syncro_async import SYNCRO, AsyncClient, Lead
from syncro_async.errors import (
    AccountSuspendedError,
    APIError,
    AuthenticationError,
    MessagingWindowClosedError,
    NotFoundError,
    PermissionDeniedError,
    PlanLimitError,
    ServerError,
    SyncroError,
    UnexpectedResponseError,
    UnprocessableError,
    ValidationError,
)
from syncro_async.transport.http_engine import RESPONSE_CAP
from tests.paging.fake_lists import keep
from tests.transport.scripted_app import (
    AFTER_ITS_ANSWER,
    KEY,
    ONE,
    Answer,
    App,
    Asked,
    at_once,
    client_of,
    page_of,
)

HTML = (("content-type", "text/html; charset=utf-8"),)
LEAD = b'{"success": true, "lead": {"id": 7, "name": "Jos\xc3\xa9"}}'
DEEP = b"[" * 100_000
GZIP = (("content-encoding", "gzip"),)


KEY_REFUSED = [(401, AuthenticationError), (403, PermissionDeniedError)]


async def raised_by(answer: Answer, **options: Any) -> UnexpectedResponseError:
    """What a read raises, having been sent once."""
    app = App(answer, Answer(500))
    async with client_of(app, **options) as client:
        with pytest.raises(UnexpectedResponseError) as caught:
            await client.leads.get(7)
    assert len(app.asked) == 1
    return caught.value


async def read_ahead(client: AsyncClient, seen: list[Lead]) -> None:
    async with client.leads.list(page_size=1).prefetch(pages=3) as leads:
        await keep(leads, seen)


class TestBodiesUnder200:
    async def test_a_login_page_is_shown_in_an_excerpt(self) -> None:
        page = b"<html><title>Entrar</title>" + b"x" * 10_000
        error = await raised_by(Answer(200, page, HTML))
        assert (error.status, error.content_type) == (200, "text/html; charset=utf-8")
        assert error.excerpt == page[:200].decode()
        assert "an HTML page instead of JSON; check base_url" in str(error)

    async def test_json_that_is_cut_short_is_told_from_html(self) -> None:
        error = await raised_by(Answer(200, LEAD[:30]))
        assert "GET /leads/7 → 200: the answer is not JSON" in str(error)

    async def test_a_warning_in_front_of_the_json_is_not_repaired(self) -> None:
        error = await raised_by(Answer(200, b"<br/>Warning: x in y on line 3" + LEAD))
        assert error.excerpt.startswith("<br/>Warning")

    async def test_a_byte_order_mark_is_accepted(self) -> None:
        async with client_of(App(Answer(200, b"\xef\xbb\xbf" + LEAD))) as client:
            assert (await client.leads.get(7)).name == "José"

    @pytest.mark.parametrize(
        "body",
        [b'{"success": true, "lead": {"id": 7, "name": "Jos\xe9"}}', LEAD.replace(b"7", b"NaN")],
        ids=["latin-1", "NaN"],
    )
    async def test_what_is_no_json_after_all_is_a_typed_error(self, body: bytes) -> None:
        assert "is not JSON" in str(await raised_by(Answer(200, body)))

    async def test_of_a_key_that_comes_twice_the_last_one_counts(self) -> None:
        body = b'{"lead": {"id": 1, "id": 7}, "success": true}'
        async with client_of(App(Answer(200, body))) as client:
            assert (await client.leads.get(7)).id == 7

    @pytest.mark.parametrize(
        "body",
        [DEEP, b'{"lead": ' + DEEP, b'{"lead": {"id": 7, "custom_fields": {"x": ' + DEEP],
        ids=["all of it", "in the place of a model", "inside a model"],
    )
    async def test_a_depth_of_100_000_is_a_typed_error(self, body: bytes) -> None:
        assert isinstance(await raised_by(Answer(200, body)), SyncroError)

    async def test_so_it_is_for_plain_objects_and_pages(self) -> None:
        async with client_of(App(Answer(200, DEEP), Answer(200, b'{"data":' + DEEP))) as client:
            with pytest.raises(UnexpectedResponseError):
                await client.request("GET", "/x")
            with pytest.raises(UnexpectedResponseError):
                await client.leads.list().first()

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ([], "Expected `object`, got `array`"),
            ({"success": True}, "missing required field `lead`"),
            ({"lead": {"id": "seven"}}, r"Expected `int`, got `str` - at `\$\.lead\.id`"),
            ({"lead": {"id": 7, "tags": 5}}, r"at `\$\.lead\.tags`"),
            ("text", "Expected `object`, got `str`"),
        ],
    )
    async def test_a_wrong_shape_is_named_with_its_path(self, body: Any, path: str) -> None:
        error = await raised_by(Answer(200, body))
        with pytest.raises(UnexpectedResponseError, match=path):
            raise error
        assert "does not have the documented shape" in str(error)

    async def test_numeric_text_is_a_number_and_what_is_new_is_let_pass(self) -> None:
        body = {"lead": {"id": "7", "value": "12.50", "temperature": "hot"}, "took_ms": 3}
        async with client_of(App(Answer(200, body))) as client:
            lead = await client.leads.get(7)
        assert (lead.id, lead.value) == (7, 12.5)

    @pytest.mark.parametrize(
        "value",
        [
            b'"nan"',
            b'"NaN"',
            b'"inf"',
            b'"-Infinity"',
            b"1e400",
            b"-1e400",
            b'"1e400"',
            b"9" * 5000,
        ],
    )
    async def test_what_cannot_be_counted_with_is_no_number(self, value: bytes) -> None:
        error = await raised_by(Answer(200, b'{"lead": {"id": 7, "value": ' + value + b"}}"))
        assert "at `$.lead.value`" in str(error)

    @pytest.mark.parametrize("status", [200, 204])
    async def test_an_empty_answer_is_none_where_nothing_is_expected(self, status: int) -> None:
        async with client_of(App(Answer(status, b""))) as client:
            await client.leads.delete(7)
            assert await client.request("GET", "/tasks") is None

    async def test_an_empty_answer_is_an_error_where_a_lead_is_expected(self) -> None:
        error = await raised_by(Answer(200, b" "))
        assert "an empty answer where a JSON object was expected" in str(error)
        assert "the body: empty" in str(error)

    async def test_without_a_content_type_the_error_says_so(self) -> None:
        two = (("content-type", "text/html"), ("content-type", "text/plain"))
        error = await raised_by(Answer(200, b"!", two))
        assert error.content_type is None
        assert "no content type, beginning with '!'" in str(error)

    async def test_a_type_given_by_the_caller_is_kept_to(self) -> None:
        class Task(msgspec.Struct):
            subject: str

        app = App(Answer(200, {"subject": "Ligar"}), Answer(200, {"subject": 5}))
        async with client_of(app) as client:
            assert await client.request("GET", "/tasks/1", type=Task) == Task("Ligar")
            with pytest.raises(UnexpectedResponseError, match=r"\$\.subject"):
                await client.request("GET", "/tasks/1", type=Task)


class TestNotSuccessful:
    async def test_success_false_under_200_is_an_error_of_the_api(self) -> None:
        body = {"success": False, "message": "Não deu.", "code": "x"}
        app = App(Answer(200, body))
        async with client_of(app, rate_limit=ONE) as client:
            with pytest.raises(APIError, match=r"GET /leads/7 → 200 x: Não deu\.") as caught:
                await client.leads.get(7)
            assert client.budget().next_free_in == AFTER_ITS_ANSWER
        assert type(caught.value) is APIError
        assert (caught.value.attempts, caught.value.body) == (1, body)

    @pytest.mark.parametrize("body", [{"success": False}, {"success": "false", "data": []}])
    async def test_pages_plain_answers_and_types_say_it_too(self, body: dict[str, Any]) -> None:
        async with client_of(App(Answer(200, body))) as client:
            for call in (
                client.leads.list().first(),
                client.request("GET", "/x"),
                client.request("GET", "/x", type=dict[str, Any]),
                client.leads.delete(7),
            ):
                with pytest.raises(APIError, match="→ 200: OK"):
                    await call

    @pytest.mark.parametrize("body", [[1], {"success": None}, {"success": [False]}])
    async def test_what_is_no_flag_does_not_count_as_one(self, body: Any) -> None:
        async with client_of(App(Answer(200, body))) as client:
            assert await client.request("GET", "/x") == body


class TestCompression:
    async def test_a_compressed_answer_is_read(self) -> None:
        async with client_of(App(Answer(200, gzip.compress(LEAD), GZIP))) as client:
            assert (await client.leads.get(7)).id == 7

    @pytest.mark.parametrize(
        "body", [b"no gzip at all", zlib.compress(LEAD)], ids=["not packed", "zlib's own format"]
    )
    async def test_a_corrupt_one_is_a_typed_error(self, body: bytes) -> None:
        error = await raised_by(Answer(200, body, GZIP))
        assert "the answer cannot be unpacked: its compression is broken: Error -3" in str(error)
        assert (error.status, error.content_type) == (200, "application/json")

    @pytest.mark.parametrize("length", [1, 10, 25, -8, -1])
    async def test_one_cut_short_is_never_taken_for_the_whole(self, length: int) -> None:
        app = App(Answer(200, gzip.compress(LEAD)[:length], GZIP))
        async with client_of(app) as client:
            for call in (
                client.leads.get(7),
                client.request("GET", "/leads/7"),
                client.leads.delete(7),
            ):
                with pytest.raises(UnexpectedResponseError, match="broken: the end is missing"):
                    await call
        assert len(app.asked) == 3

    async def test_bytes_behind_the_end_are_not_passed_over(self) -> None:
        error = await raised_by(Answer(200, gzip.compress(LEAD) + b"OK", GZIP))
        assert "its compression is broken: bytes behind the end" in str(error)

    @pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "utf-8"])
    async def test_a_coding_nobody_asked_for_is_named(self, coding: str) -> None:
        error = await raised_by(Answer(200, LEAD, (("content-encoding", coding),)))
        assert f"it is packed as {coding!r}, which was not asked for" in str(error)

    @pytest.mark.parametrize("coding", ["", "identity", "Identity"])
    async def test_a_coding_that_changes_nothing_is_none(self, coding: str) -> None:
        async with client_of(App(Answer(200, LEAD, (("content-encoding", coding),)))) as client:
            assert (await client.leads.get(7)).id == 7

    @pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
    async def test_an_empty_body_need_not_be_packed(self, coding: str) -> None:
        async with client_of(App(Answer(204, b"", (("content-encoding", coding),)))) as client:
            await client.leads.delete(7)

    async def test_only_what_can_be_undone_is_asked_for(self) -> None:
        app = App(Answer(200, LEAD))
        async with client_of(app) as client:
            await client.leads.get(7)
        assert app.asked[0].headers["accept-encoding"] == "gzip"

    async def test_a_bomb_is_left_at_the_cap(self) -> None:
        bomb = gzip.compress(b" " * (RESPONSE_CAP + 1), compresslevel=1)
        error = await raised_by(Answer(200, bomb, GZIP), rate_limit=ONE)
        assert "larger than 64 MB" in str(error)
        assert (error.status, error.content_type, error.excerpt) == (200, "application/json", "")

    async def test_a_bomb_under_an_error_is_that_error(self) -> None:
        app = App(Answer(418, b"no gzip at all", GZIP))
        async with client_of(app) as client:
            with pytest.raises(APIError, match="→ 418: I'm a Teapot"):
                await client.leads.get(7)


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize(
        ("location", "shown"),
        [
            ("https://evil.invalid/take?key=1", "a redirect to evil.invalid/take, which"),
            ("/login", "a redirect to /login, which"),
        ],
    )
    async def test_none_is_followed(self, status: int, location: str, shown: str) -> None:
        error = await raised_by(Answer(status, b"<html>", (("location", location),)))
        assert shown in str(error)
        assert "check base_url and the API key" in str(error)
        assert error.status == status

    @pytest.mark.parametrize("location", ["http://[::1", "https://host:port/x"])
    @pytest.mark.parametrize("status", [300, 301])
    async def test_one_to_nowhere_is_still_a_redirect(self, status: int, location: str) -> None:
        app = App(Answer(status, b"", (("location", location),)))
        async with client_of(app, rate_limit=ONE, retry=at_once(1)) as client:
            with pytest.raises(UnexpectedResponseError, match=f"{status}: a redirect to") as caught:
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
            assert client.budget().next_free_in == AFTER_ITS_ANSWER
        assert caught.value.status == status

    @pytest.mark.parametrize("status", [300, 304])
    async def test_an_answer_between_result_and_error_is_a_typed_error(self, status: int) -> None:
        error = await raised_by(Answer(status, b""))
        assert f"→ {status}: an answer without a result" in str(error)


class TestErrorBodies:
    @pytest.mark.parametrize(
        ("status", "kind"), [(404, NotFoundError), (500, ServerError), (403, PermissionDeniedError)]
    )
    @pytest.mark.parametrize(
        "body",
        [b"<h1>n\xe3o</h1>", b"\xff\xfe\x00", b"{", b'{"message": "x', DEEP, b"[NaN]"],
        ids=["latin-1", "binary", "brace", "cut", "deep", "NaN"],
    )
    async def test_an_undecodable_body_is_kept_as_bytes(
        self, status: int, kind: type[APIError], body: bytes
    ) -> None:
        async with client_of(App(Answer(status, body)), retry=at_once(1)) as client:
            with pytest.raises(kind) as caught:
                await client.leads.get(7)
        assert caught.value.body == body
        shown = body[:200].decode("utf-8", "replace").replace("\0", "\ufffd")
        assert caught.value.message == shown
        assert pickle.loads(pickle.dumps(caught.value)).body == body

    @pytest.mark.parametrize("depth", [100, 101, 400, 800, 990])
    async def test_one_nested_deeper_than_pickle_can_go_is_kept_as_bytes(self, depth: int) -> None:
        content = b'{"errors": {"x": ' + b"[" * (depth - 2) + b"]" * (depth - 2) + b"}}"
        async with client_of(App(Answer(422, content))) as client:
            with pytest.raises(UnprocessableError) as caught:
                await client.leads.get(7)
        assert (caught.value.body == content) is (depth > 100)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

    async def test_an_empty_one_is_named_by_its_status(self) -> None:
        async with client_of(App(Answer(503, b""))) as client:
            view = client.with_options(retry=at_once(1))
            with pytest.raises(ServerError, match=r"→ 503: Service Unavailable$"):
                await view.leads.get(7)

    async def test_a_status_without_a_name_is_an_error_all_the_same(self) -> None:
        async with client_of(App(Answer(499, b""))) as client:
            with pytest.raises(APIError, match=r"→ 499: the server gave no reason$"):
                await client.leads.get(7)

    async def test_a_byte_order_mark_does_not_hide_the_message(self) -> None:
        body = b"\xef\xbb\xbf" + msgspec.json.encode({"message": "O nome é obrigatório."})
        async with client_of(App(Answer(404, body))) as client:
            with pytest.raises(NotFoundError, match="404: O nome é"):
                await client.leads.get(7)

    @pytest.mark.parametrize("odd", [7, [1], {"pt": "x"}, True])
    async def test_what_should_be_text_and_is_none_counts_as_unsaid(self, odd: Any) -> None:
        body = {"message": odd, "code": odd, "required_permission": odd}
        async with client_of(App(Answer(403, body))) as client:
            with pytest.raises(PermissionDeniedError, match=r"→ 403: Forbidden$") as caught:
                await client.leads.get(7)
        assert (caught.value.code, caught.value.required_permission) == (None, None)
        assert caught.value.body == body

    async def test_the_fields_of_a_422_are_kept(self) -> None:
        body = {"message": "Inválido.", "errors": {"name": ["obrigatório"], "email": "inválido"}}
        async with client_of(App(Answer(422, body))) as client:
            with pytest.raises(ValidationError) as caught:
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
        assert caught.value.errors == {"name": ["obrigatório"], "email": ["inválido"]}

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (403, {"message": "Conta inativa."}, AccountSuspendedError),
            (422, {"message": "Limite.", "limit_reached": True}, PlanLimitError),
            (422, {"skip_reason": "window_closed"}, MessagingWindowClosedError),
        ],
    )
    async def test_what_the_body_says_makes_the_kind(
        self, status: int, body: dict[str, Any], kind: type[APIError]
    ) -> None:
        async with client_of(App(Answer(status, body))) as client:
            with pytest.raises(kind) as caught:
                await client.leads.send_whatsapp(7, body="Olá")
        assert type(caught.value) is kind

    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_key_that_is_refused_costs_no_budget(self, status: int) -> None:
        app = App(Answer(status, {"message": "API Key expirada."}))
        async with client_of(app, rate_limit=ONE) as client:
            for _ in range(5):
                with pytest.raises((AuthenticationError, PermissionDeniedError)):
                    await client.leads.get(7)
                assert client.budget().available == 1
        assert app.times == [0.0] * 5

    @pytest.mark.parametrize("status", [401, 403])
    async def test_where_the_service_counts_those_too_the_slot_runs_from_the_answer(
        self, status: int
    ) -> None:
        counts_all = replace(SYNCRO, uncounted_statuses=frozenset())
        async with client_of(App(Answer(status)), rate_limit=ONE, dialect=counts_all) as client:
            with pytest.raises((AuthenticationError, PermissionDeniedError)):
                await client.leads.get(7)
            assert client.budget().next_free_in == AFTER_ITS_ANSWER

    @pytest.mark.parametrize("status", [400, 404, 405, 409, 422, 500])
    async def test_any_other_no_costs_a_slot_from_its_answer_on(self, status: int) -> None:
        app = App(Answer(status))
        async with client_of(app, rate_limit=ONE, retry=at_once(1)) as client:
            with pytest.raises(APIError):
                await client.leads.get(7)
            assert client.budget().next_free_in == AFTER_ITS_ANSWER

    @pytest.mark.parametrize(("status", "kind"), KEY_REFUSED)
    async def test_paging_stops_at_once_and_what_was_read_stays(
        self, status: int, kind: type[APIError]
    ) -> None:
        first = Answer(200, page_of([{"id": 1}, {"id": 2}], last=3))
        app = App(first, Answer(status, {"message": "API Key expirada."}), first)
        seen: list[Lead] = []
        async with client_of(app) as client:
            with pytest.raises(kind, match="API Key expirada"):
                await keep(client.leads.list(), seen)
        assert [lead.id for lead in seen] == [1, 2]
        assert [asked.query["page"] for asked in app.asked] == ["1", "2"]

    @pytest.mark.parametrize(("status", "kind"), KEY_REFUSED)
    async def test_so_it_does_when_pages_are_fetched_ahead(
        self, status: int, kind: type[APIError]
    ) -> None:
        async def page(asked: Asked) -> Answer:
            await asked.clock.sleep(1.0)
            number = int(asked.query["page"])
            if number >= 6:
                return Answer(status, {"message": "API Key expirada."})
            return Answer(200, page_of([{"id": number}], number=number, last=100, total=100))

        app = App(page)
        seen: list[Lead] = []
        async with client_of(app) as client:
            with pytest.raises(kind):
                await read_ahead(client, seen)
        assert client.budget().in_flight == 0
        assert [lead.id for lead in seen] == [1, 2, 3, 4, 5]
        # Nothing was asked for but what was on its way already.
        assert max(int(asked.query["page"]) for asked in app.asked) <= 8


class TestTheTransport:
    async def test_an_application_that_fails_is_a_broken_connection(self) -> None:
        app = App(KeyError("a bug of the server's"), Answer(200, LEAD))
        async with client_of(app, retry=at_once()) as client:
            assert (await client.leads.get(7)).id == 7

    async def test_what_is_sent_says_who_asks_and_what_is_understood(self) -> None:
        app = App(Answer(200, LEAD))
        async with client_of(app) as client:
            await client.leads.get(7)
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
        read, write = app.asked
        assert read.headers["x-api-key"] == KEY
        assert read.headers["accept"] == "application/json"
        assert read.headers["user-agent"].startswith("syncro-async/")
        assert "content-type" not in read.headers
        assert write.headers["content-type"] == "application/json"
        assert msgspec.json.decode(write.body) == {"name": "Ana", "pipeline_id": 1, "stage_id": 2}


@pytest.mark.parametrize(
    ("body", "message", "code", "errors"),
    [
        ({"error": {"code": "X"}, "message": "boo"}, "boo", "X", None),
        ({"error": {"message": "boo"}, "code": "X"}, "boo", "X", None),
        ({"error": "Unauthenticated."}, "Unauthenticated.", None, None),
        ({"message": "m", "details": None, "errors": {"a": ["b"]}}, "m", None, {"a": ["b"]}),
        ({"error": {"message": "m"}, "errors": {"a": "b"}}, "m", None, {"a": ["b"]}),
    ],
)
async def test_what_an_error_says_is_found_in_whatever_envelope_it_stands(
    body: dict[str, Any], message: str, code: str | None, errors: dict[str, list[str]] | None
) -> None:
    async with client_of(App(Answer(422, body))) as client:
        with pytest.raises(APIError) as caught:
            await client.leads.get(7)
    assert (caught.value.message, caught.value.code) == (message, code)
    assert getattr(caught.value, "errors", None) == errors


async def test_what_is_packed_twice_is_not_unpacked_though_it_is_said_in_two_lines() -> None:
    twice = (("content-encoding", "br"), ("content-encoding", "gzip"))
    body = gzip.compress(b'{"lead": {"id": 7}}')
    async with client_of(App(Answer(body=body, headers=twice))) as client:
        with pytest.raises(UnexpectedResponseError, match="it is packed as 'br, gzip'"):
            await client.leads.get(7)
