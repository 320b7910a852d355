"""The structs as response models, bodies and fields of pydantic models, and what OpenAPI says."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from typing import Annotated, Any

import httpx
import jsonschema
import pytest
from fastapi import Body, FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError

import syncro_async
from examples.fastapi_service import make_app
from syncro_async import (
    UNSET,
    AsyncClient,
    Budget,
    Lead,
    Page,
    PageMeta,
    Pipelines,
    Plan,
    Progress,
    SyncReceipt,
    Task,
    UnreadableItem,
)
from syncro_async.integrations.error_responses import ERROR_TEXTS
from syncro_async.integrations.fastapi import (
    ERROR_RESPONSES,
    SyncroDep,
    add_error_handlers,
    syncro_lifespan,
)
from syncro_async.models.base import Model
from syncro_async.models.lead import StageReference
from syncro_async.models.relations import Owner
from syncro_async.sandbox import Sandbox
from syncro_async.testing.fake_clock import FakeClock
from tests.integrations.serving_app import bound_to, caller_of, running

Syncro = Annotated[AsyncClient, SyncroDep]

MODELS = [
    model
    for model in (getattr(syncro_async, name) for name in syncro_async.__all__)
    if isinstance(model, type) and issubclass(model, Model)
]
MOMENT = datetime(2026, 6, 30, 12, 0, 59, tzinfo=UTC)


class Wrapped(BaseModel):
    lead: Lead
    owner: Owner | None = None
    pages: list[Page[Task]] = []


async def answer_of(app: FastAPI, path: str, **request: Any) -> httpx.Response:
    method = "POST" if request else "GET"
    async with caller_of(app, raising=True) as web:
        return await web.request(method, path, **request)


def answering(annotation: Any, value: Any, **options: Any) -> FastAPI:
    app = FastAPI()

    async def read() -> Any:
        return value

    read.__annotations__["return"] = annotation
    app.get("/", **options)(read)
    return app


def schema_of(openapi: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = openapi["components"]["schemas"][name]
    return found


def validate(value: Any, openapi: dict[str, Any], schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(
        {**schema, "components": openapi["components"]},
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    ).validate(value)


async def test_a_lead_is_answered_without_what_was_not_sent() -> None:
    lead = Lead(
        id=7,
        name="Ana",
        birthday=date(1992, 3, 27),
        created_at=MOMENT,
        value=0.0,
        tags=[],
        custom_fields={"empty": None},
        stage=StageReference(id=4),
        owner=None,
        siblings=[Lead(id=8, name=None)],
    )
    answer = await answer_of(answering(Lead, lead), "/")
    assert answer.json() == {
        "id": 7,
        "name": "Ana",
        "birthday": "1992-03-27",
        "created_at": "2026-06-30T12:00:59Z",
        "value": 0.0,
        "tags": [],
        "custom_fields": {"empty": None},
        "stage": {"id": 4},
        "owner": None,
        "siblings": [{"id": 8}],
    }


async def test_lists_pages_and_unions_of_leads_are_answered_too() -> None:
    lead = Lead(id=7)
    unreadable = UnreadableItem(0, b"\xff", "no text")
    page = Page([lead], PageMeta(1, 200, 1, 1), (unreadable,), answered_at=MOMENT)
    assert (await answer_of(answering(list[Lead], [lead]), "/")).json() == [{"id": 7}]
    assert (await answer_of(answering(Lead | None, None), "/")).json() is None
    assert (await answer_of(answering(Lead | Task, Task(id=1)), "/")).json() == {"id": 1}
    assert (await answer_of(answering(Page[Lead], page), "/")).json() == {
        "items": [{"id": 7}],
        "meta": {"total": 1, "per_page": 200, "current_page": 1, "last_page": 1},
        "unreadable": [{"index": 0, "raw": "/w==", "reason": "no text"}],
        "answered_at": "2026-06-30T12:00:59Z",
    }


async def test_numbers_that_are_zero_and_lists_that_are_empty_are_sent() -> None:
    budget = AsyncClient("key-of-zero").budget()
    assert (await answer_of(answering(Budget, budget), "/")).json()["used"] == 0
    found = await answer_of(answering(Pipelines, Pipelines([], [])), "/")
    assert found.json() == {"pipelines": [], "lost_reasons": []}
    receipt = SyncReceipt(0, 0, 0, until=MOMENT)
    answered = (await answer_of(answering(SyncReceipt, receipt), "/")).json()
    assert "since" not in answered
    assert (answered["deleted"], answered["until"]) == (0, "2026-06-30T12:00:59Z")


async def test_a_route_may_choose_the_parts_of_a_lead() -> None:
    lead = Lead(id=7, name="Ana", owner=None)
    cases: list[tuple[dict[str, Any], Any]] = [
        ({"response_model_exclude": {"name"}}, {"id": 7, "owner": None}),
        ({"response_model_include": {"name"}}, {"name": "Ana"}),
        ({"response_model_exclude_none": True}, {"id": 7, "name": "Ana"}),
    ]
    for options, expected in cases:
        assert (await answer_of(answering(Lead, lead, **options), "/")).json() == expected


async def test_a_lead_is_accepted_as_a_body() -> None:
    app = FastAPI()

    @app.post("/")
    async def create(new: Annotated[Lead, Body()]) -> Lead:
        assert isinstance(new, Lead)
        assert new.owner is UNSET
        return new

    sent = {"id": "7", "birthday": "1992-03-27", "name": None, "unknown": 1}
    assert (await answer_of(app, "/", json=sent)).json() == {"id": 7, "birthday": "1992-03-27"}
    wrong = await answer_of(app, "/", json={"id": 7, "tags": ["vip", 3]})
    assert wrong.status_code == 422
    assert wrong.json()["detail"][0]["msg"] == "Expected `str`, got `int` - at `$.tags[1]`"


def test_a_pydantic_model_may_hold_structs() -> None:
    page: Page[Task] = Page([Task(id=3)], PageMeta(1, 200, 1, 1))
    wrapped = Wrapped(lead=Lead(id=7, birthday=date(1992, 3, 27)), pages=[page])
    assert wrapped.lead == Lead(id=7, birthday=date(1992, 3, 27))
    assert wrapped.model_dump()["lead"] == {"id": 7, "birthday": date(1992, 3, 27)}
    again = Wrapped.model_validate_json(wrapped.model_dump_json())
    assert (again, again.pages[0].items[0].id) == (wrapped, 3)
    with pytest.raises(ValidationError, match="missing required field `id`"):
        Wrapped.model_validate({"lead": {}})


def test_a_schema_says_what_is_sent() -> None:
    schema = TypeAdapter(Lead).json_schema()["$defs"]["Lead"]
    assert schema["required"] == ["id"]
    fields = schema["properties"]
    assert fields["name"] == {"type": "string"}
    assert fields["value"] == {"type": "number"}
    assert fields["created_at"] == {"type": "string", "format": "date-time"}
    assert fields["custom_fields"] == {"type": "object"}
    assert fields["owner"]["anyOf"] == [{"$ref": "#/$defs/Owner"}, {"type": "null"}]
    assert fields["siblings"]["items"] == {"$ref": "#/$defs/Lead"}
    assert schema["description"].startswith("A lead as the server sent it")
    assert "\n    " not in schema["description"]
    # A field whose name is a word of JSON schema is a field.
    assert TypeAdapter(Task).json_schema()["properties"]["description"] == {"type": "string"}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_is_a_response_model(model: type[Model]) -> None:
    annotation: Any = Page[Lead] if model is Page else model
    openapi = answering(annotation, None).openapi()
    name = "Page_Lead_" if model is Page else model.__name__
    schema = schema_of(openapi, name)
    assert schema["type"] == "object"
    assert schema["description"]
    answered = openapi["paths"]["/"]["get"]["responses"]["200"]["content"]["application/json"]
    assert answered["schema"] == {"$ref": f"#/components/schemas/{name}"}


def test_the_models_are_those_that_calls_and_jobs_return() -> None:
    assert {Lead, Task, Page, Budget, Plan, Progress, SyncReceipt} <= {*MODELS}
    assert len(MODELS) == 32


def service(sandbox: Sandbox, clock: FakeClock) -> FastAPI:
    """The service of a new user, after docs/fastapi.md."""
    lifespan = syncro_lifespan(**bound_to(sandbox, clock))
    app = FastAPI(lifespan=lifespan, responses=ERROR_RESPONSES)
    add_error_handlers(app)

    @app.get("/leads")
    async def list_leads(syncro: Syncro) -> list[Lead]:
        return await syncro.leads.list(max_items=5, include=["owner", "notes"]).collect()

    @app.get("/leads/{lead_id}")
    async def read(lead_id: int, syncro: Syncro) -> Lead:
        include = ["owner", "products", "contacts", "notes", "sales", "tasks", "sequences"]
        return await syncro.leads.get(lead_id, include=[*include, "events", "siblings"])

    @app.get("/pages")
    async def page(syncro: Syncro) -> Page[Lead]:
        return await anext(syncro.leads.list(page_size=3).pages())

    @app.get("/tasks")
    async def tasks(syncro: Syncro) -> list[Task]:
        return await syncro.tasks.list().collect()

    @app.get("/budget")
    async def budget(syncro: Syncro) -> Budget:
        return syncro.budget()

    return app


async def test_what_the_sandbox_answers_fits_the_schemas() -> None:
    clock = FakeClock()
    app = service(Sandbox(50, clock=clock), clock)
    openapi = app.openapi()
    async with running(app) as web:
        for path in ["/leads", "/leads/1", "/pages", "/tasks", "/budget", "/leads/4711"]:
            answer = await web.get(path)
            route = "/leads/{lead_id}" if path.startswith("/leads/") else path
            described = openapi["paths"][route]["get"]["responses"][str(answer.status_code)]
            validate(answer.json(), openapi, described["content"]["application/json"]["schema"])


def test_openapi_says_what_the_error_handlers_answer() -> None:
    openapi = make_app().openapi()
    for path in ("/leads", "/leads/{lead_id}", "/health"):
        responses = openapi["paths"][path]["get"]["responses"]
        for text in ERROR_TEXTS.values():
            content = responses[str(text.status)]["content"]["application/json"]
            example = content["examples"][text.code]["value"]
            assert example["error"]["message"] == text.message
            validate(example, openapi, content["schema"])
    assert "Retry-After" in responses["503"]["headers"]
    assert responses["404"]["description"] == "The requested object does not exist."
    assert responses["503"]["description"].splitlines() == [
        "- `busy`: Too many requests are waiting; please try again later.",
        "- `upstream_unavailable`: The service behind this one is temporarily not available.",
    ]


async def test_both_kinds_of_422_fit_the_schema() -> None:
    clock = FakeClock()
    app = service(Sandbox(clock=clock), clock)
    openapi = app.openapi()

    @app.post("/leads")
    async def create(syncro: Syncro) -> Lead:
        return await syncro.leads.create(name="A", pipeline_id=999, stage_id=1)

    responses = openapi["paths"]["/leads/{lead_id}"]["get"]["responses"]
    schema = responses["422"]["content"]["application/json"]["schema"]
    names = [part["$ref"].rpartition("/")[2] for part in schema["anyOf"]]
    assert names == ["ErrorBody", "RequestProblems"]
    async with running(app) as web:
        for answer in (await web.get("/leads/x"), await web.post("/leads")):
            assert answer.status_code == 422
            validate(answer.json(), openapi, schema)


def test_the_package_loads_no_pydantic_and_neither_does_a_model() -> None:
    program = (
        "import sys, syncro_async\n"
        "[getattr(syncro_async, name) for name in syncro_async.__all__]\n"
        "assert 'pydantic' not in sys.modules and 'pydantic_core' not in sys.modules\n"
        "syncro_async.Lead(id=1)._repr_html_()\n"
        "assert not any(name.startswith('pydantic') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
