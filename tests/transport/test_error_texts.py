"""What a user reads when a call fails: one real call for each kind of error, word for word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncro_async import SYNCRO, AsyncClient, errors
from syncro_async.errors import (
    AccountSuspendedError,
    APIError,
    AuthenticationError,
    BadRequestError,
    BadRowsError,
    BudgetWaitError,
    CircuitOpenError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    ImportStoppedError,
    InvalidArgumentError,
    MessagingWindowClosedError,
    MissingResourceError,
    NoAnswerError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PlanLimitError,
    ProviderAuthenticationError,
    ProviderError,
    ProviderRateLimitedError,
    RateLimitedError,
    ReauthenticationRequiredError,
    RequestTimeoutError,
    ServerError,
    ServiceUnavailableError,
    StageBlockedError,
    SyncroError,
    UnexpectedResponseError,
    UnknownArgumentError,
    UnprocessableError,
    ValidationError,
)
from tests.transport.scripted_app import ONE, Answer, App, Step, at_once, client_of, never

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
# A service that names its errors by codes.
CODED = replace(
    SYNCRO,
    codes={
        "NEEDS_REAUTH": ReauthenticationRequiredError,
        "PROVIDER_AUTH_FAILED": ProviderAuthenticationError,
        "PROVIDER_RATE_LIMITED": ProviderRateLimitedError,
        "CIRCUIT_OPEN": CircuitOpenError,
    },
)
HTML = (("content-type", "text/html"),)

Make = Callable[[AsyncClient], Awaitable[object]]


async def get(client: AsyncClient) -> object:
    return await client.leads.get(7)


async def create(client: AsyncClient) -> object:
    return await client.leads.create(name="Ana", pipeline_id=1, stage_id=4)


async def misspelled(client: AsyncClient) -> object:
    return await client.leads.upsert(emial="ana@example.com")  # type: ignore[call-arg]


async def send(client: AsyncClient) -> object:
    return await client.leads.send_whatsapp(7, body="Olá")


async def move(client: AsyncClient) -> None:
    await client.leads.move(7, stage_id=2, pipeline_id=1)


async def win(client: AsyncClient) -> None:
    await client.leads.mark_won(7, stage_id=4)


async def get_twice(client: AsyncClient) -> object:
    await client.leads.get(7)
    return await client.leads.get(7)


async def import_two(client: AsyncClient) -> object:
    home = {"pipeline_id": 1, "stage_id": 4}
    rows = [{"name": name, "email": f"{name}@example.com", **home} for name in ("ana", "rui")]
    return await client.bulk.upsert_leads(rows)


async def import_nobodies(client: AsyncClient) -> object:
    return await client.bulk.upsert_leads([{"name": "Ana"}, {"email": "rui@example.com"}])


async def get_after_closing(client: AsyncClient) -> object:
    await client.aclose()
    return await client.leads.get(7)


@dataclass(frozen=True)
class Case:
    """What the server does, which call meets it, and what the error reads like."""

    kind: type[SyncroError]
    step: Step
    make: Make
    text: str
    options: dict[str, Any] = field(default_factory=dict)


def says(status: int, message: str, **more: Any) -> Answer:
    return Answer(status, {"success": False, "message": message, **more})


CASES = [
    Case(
        ConfigurationError,
        Answer(),
        get_after_closing,
        "GET /leads/7: this client is closed; make a new one",
    ),
    Case(
        BudgetWaitError,
        Answer(200, {"lead": {"id": 7}}),
        get_twice,
        "GET /leads/7: the call's turn in the budget is 60.2 s away, 5.0 s are allowed;"
        " nothing was sent",
        {"rate_limit": ONE, "max_wait": 5.0},
    ),
    Case(
        BadRowsError,
        Answer(),
        import_nobodies,
        "1 of 2 rows cannot be imported and nothing was sent:"
        " email or phone is required: leads are matched by it (line 1)",
    ),
    Case(
        ImportStoppedError,
        says(403, "Sem permissão."),
        import_two,
        "the import stopped: GET /leads → 403: Sem permissão. Of 2 rows: done 0,"
        " failed 0, in doubt 0, not sent 2;"
        " with journal= the next run continues where this one stopped",
    ),
    Case(
        ConnectionFailedError,
        httpx.ConnectError("[Errno 111] Connection refused"),
        create,
        "POST /leads: no connection to localhost (ConnectError: [Errno 111] Connection refused)"
        " (4 attempts)",
    ),
    Case(RequestTimeoutError, never, get, "GET /leads/7: no whole answer within 30 s (4 attempts)"),
    Case(
        NoAnswerError,
        ConnectionResetError("reset by peer"),
        get,
        "GET /leads/7: the connection broke before the whole answer was there"
        " (ReadError: reset by peer) (4 attempts)",
    ),
    Case(
        OutcomeUnknownError,
        never,
        create,
        "POST /leads: the request was sent, and whether it was carried out is unknown:"
        " no whole answer within 30 s; look at the server before sending it again",
    ),
    Case(
        UnexpectedResponseError,
        Answer(200, b"<html><title>Entrar</title>", HTML),
        get,
        "GET /leads/7 → 200: an HTML page instead of JSON; check base_url, and the proxies in"
        " between (the body: text/html, beginning with '<html><title>Entrar</title>')",
    ),
    Case(
        UnexpectedResponseError,
        Answer(302, b"", (("location", "/login"),)),
        get,
        "GET /leads/7 → 302: a redirect to /login, which is not followed because it would take the"
        " key along; check base_url and the API key (the body: empty)",
    ),
    Case(
        UnexpectedResponseError,
        Answer(200, {"lead": {"id": "sete"}}),
        get,
        "GET /leads/7 → 200: the answer does not have the documented shape:"
        " Expected `int`, got `str` - at `$.lead.id`"
        ' (the body: application/json, beginning with \'{"lead":{"id":"sete"}}\')',
    ),
    Case(
        UnexpectedResponseError,
        Answer(200, b"\x1f\x8b", (("content-encoding", "gzip"),)),
        get,
        "GET /leads/7 → 200: the answer cannot be unpacked:"
        " its compression is broken: the end is missing",
    ),
    Case(APIError, says(200, "Não deu."), get, "GET /leads/7 → 200: Não deu."),
    Case(BadRequestError, says(400, "JSON inválido."), create, "POST /leads → 400: JSON inválido."),
    Case(
        AuthenticationError,
        says(401, "API Key expirada."),
        get,
        "GET /leads/7 → 401: API Key expirada.",
    ),
    Case(
        PermissionDeniedError,
        says(
            403,
            "API Key sem permissão para esta operação.",
            required_permission="leads:write",
        ),
        create,
        "POST /leads → 403: API Key sem permissão para esta operação. [needs leads:write]",
    ),
    Case(
        AccountSuspendedError,
        says(403, "Conta inativa."),
        get,
        "GET /leads/7 → 403: Conta inativa.",
    ),
    Case(
        ReauthenticationRequiredError,
        says(403, "Reconnect the account.", code="NEEDS_REAUTH"),
        get,
        "GET /leads/7 → 403 NEEDS_REAUTH: Reconnect the account.",
        {"dialect": CODED},
    ),
    Case(
        NotFoundError,
        says(404, "Lead não encontrado."),
        get,
        "GET /leads/7 → 404: Lead não encontrado.",
    ),
    Case(ConflictError, Answer(409, b""), create, "POST /leads → 409: Conflict"),
    Case(
        UnprocessableError,
        says(422, "A etapa não é de ganho."),
        win,
        "PUT /leads/7/won → 422: A etapa não é de ganho.",
    ),
    Case(
        ValidationError,
        says(
            422,
            "O campo stage id selecionado é inválido. (e mais 1 erro)",
            errors={"stage_id": ["O campo …"], "email": ["O campo …"]},
        ),
        create,
        "POST /leads → 422: O campo stage id selecionado é inválido. (e mais 1 erro)"
        " [stage_id, email]",
    ),
    Case(
        StageBlockedError,
        says(
            422,
            "Existem tarefas pendentes.",
            blocked=True,
            pending_tasks=[{"id": 5, "subject": "Ligar", "type": "call"}],
        ),
        move,
        "PUT /leads/7/stage → 422: Existem tarefas pendentes. [Ligar]",
    ),
    Case(
        MissingResourceError,
        Answer(),
        lambda client: client.leads.get(7),
        "Syncro has no leads; its client offers request() and paginate() for any path",
        {"dialect": replace(SYNCRO, resources=frozenset())},
    ),
    Case(
        InvalidArgumentError,
        Answer(),
        lambda client: client.leads.get(5, include=7),  # type: ignore[arg-type]
        "include must be several texts, not 7",
    ),
    Case(
        UnknownArgumentError,
        Answer(),
        misspelled,
        "unknown argument 'emial' for a lead; similar names: email",
    ),
    Case(
        PlanLimitError,
        says(422, "Limite de leads do plano atingido.", limit_reached=True),
        create,
        "POST /leads → 422: Limite de leads do plano atingido.",
    ),
    Case(
        MessagingWindowClosedError,
        says(422, "Janela de 24h fechada.", skip_reason="window_closed"),
        send,
        "POST /leads/7/send-whatsapp → 422: Janela de 24h fechada.",
    ),
    Case(
        RateLimitedError,
        says(429, "Rate limit excedido para esta API Key.", retry_after=45),
        get,
        "GET /leads/7 → 429: Rate limit excedido para esta API Key. [asks to wait 45 s]",
        {"max_wait": 10.0},
    ),
    Case(
        ProviderRateLimitedError,
        says(429, "Too many.", code="PROVIDER_RATE_LIMITED", retry_after=45),
        send,
        "POST /leads/7/send-whatsapp → 429 PROVIDER_RATE_LIMITED: Too many. [asks to wait 45 s]",
        {"max_wait": 10.0, "dialect": CODED},
    ),
    Case(
        ServerError, says(500, "Server Error"), get, "GET /leads/7 → 500: Server Error (4 attempts)"
    ),
    Case(
        ServerError,
        Answer(504, b"<html>\n<title>504 Gateway Time-out</title>", HTML),
        create,
        "POST /leads → 504: <html> <title>504 Gateway Time-out</title>",
    ),
    Case(
        ProviderError,
        says(502, "Falha no envio.", raw={"error": 131047}),
        send,
        "POST /leads/7/send-whatsapp → 502: Falha no envio.",
    ),
    Case(
        ProviderAuthenticationError,
        says(502, "The token has expired.", code="PROVIDER_AUTH_FAILED"),
        get,
        "GET /leads/7 → 502 PROVIDER_AUTH_FAILED: The token has expired.",
        {"dialect": CODED},
    ),
    Case(
        ServiceUnavailableError,
        Answer(503, {"message": "Em manutenção."}, (("retry-after", "600"),)),
        get,
        "GET /leads/7 → 503: Em manutenção. [asks to wait 600 s]",
    ),
    Case(
        CircuitOpenError,
        says(503, "The circuit is open.", code="CIRCUIT_OPEN"),
        get,
        "GET /leads/7 → 503 CIRCUIT_OPEN: The circuit is open.",
        {"dialect": CODED},
    ),
]
KINDS = {
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, SyncroError) and kind is not SyncroError
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.__name__)
async def test_it_reads_like_this(case: Case) -> None:
    async with client_of(App(case.step), retry=at_once(), **case.options) as client:
        with pytest.raises(SyncroError) as caught:
            await case.make(client)
    assert type(caught.value) is case.kind
    assert str(caught.value) == case.text


def test_every_kind_there_is_has_been_read() -> None:
    assert {case.kind for case in CASES} == KINDS


@pytest.mark.parametrize("kind", sorted(KINDS, key=str), ids=lambda kind: kind.__name__)
def test_the_page_of_the_errors_says_what_it_means(kind: type[SyncroError]) -> None:
    assert f"`{kind.__name__}`" in PAGE.read_text(encoding="utf-8")


async def test_a_task_without_a_subject_is_named_by_its_id() -> None:
    tasks = [{"id": 5, "subject": None}, {"id": 6, "subject": "Ligar"}]
    answer = says(422, "Pendente.", blocked=True, pending_tasks=tasks)
    async with client_of(App(answer)) as client:
        with pytest.raises(StageBlockedError, match=r"Pendente\. \[5, Ligar\]$"):
            await move(client)


async def test_of_many_fields_or_tasks_the_first_few_are_named() -> None:
    fields = {f"field_{number}": ["?"] for number in range(1, 8)}
    async with client_of(App(says(422, "Inválido.", errors=fields))) as client:
        with pytest.raises(ValidationError) as caught:
            await create(client)
    named = "field_1, field_2, field_3, field_4, field_5, …"
    assert str(caught.value) == f"POST /leads → 422: Inválido. [{named}]"


async def test_a_key_that_is_missing_is_told_with_the_variable_that_would_hold_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SYNCRO_API_KEY", raising=False)
    with pytest.raises(ConfigurationError) as caught:
        AsyncClient()
    assert str(caught.value) == "no API key for Syncro: set SYNCRO_API_KEY or give api_key=…"
